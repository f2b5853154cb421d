import type { Chroot } from "../chroot/types.ts";
import { UserError } from "../error.ts";
import { O } from "../kernel/abi/file.ts";
import type { Fd } from "../kernel/fd.ts";
import { lock, openAt, openDirectory, tryLock } from "../kernel/file.ts";
import { beginAutomatic, type Begun } from "./begin.ts";
import { endAutomatic } from "./end.ts";
import { type Hold, takeShared } from "./hold.ts";
import { forgetUnsaved, readUnsaved, type Unsaved, writeUnsaved } from "./home/unsaved.ts";
import { sessionDir } from "./paths.ts";
import { pause } from "./pause.ts";
import { recordKind } from "./record.ts";
import { clearLeftovers, undoSession } from "./remains.ts";
import { explainFull, isSessionMounted, prepareState } from "./state.ts";
import type { SessionOptions } from "./types.ts";

/** Somebody waits so long for others to leave a session that isn't mounted any more, and looks so often. */
const [looks, lookMs] = [100, 50];

/**
 * A part in a session that several processes have together: it begins with the first of them and is gone after the last,
 * also where they are killed. Each holds a shared lock, and who leaves asks whether it is theirs alone.
 */
export class SharedSession {
  readonly id: string;
  readonly #hold: Hold;
  readonly #options: SessionOptions;
  #presence: Fd | undefined;

  constructor(hold: Hold, options: SessionOptions) {
    this.id = hold.id;
    this.#hold = hold;
    this.#options = options;
  }

  /** Counts among those who are there, and not only keep the session for others: see isLastThere(). */
  bePresent(): void {
    if (this.#presence !== undefined) return;
    this.#presence = openAt(null, `${sessionDir(this.id)}/present`, O.RDWR | O.CREAT | O.NOFOLLOW, { mode: 0o600 });
    lock(this.#presence, "shared");
  }

  /** Whether nobody else is there. Others may come meanwhile; and who isn't the last doesn't count any more. */
  isLastThere(): boolean {
    if (this.#presence === undefined || !tryLock(this.#presence, "exclusive")) return false;
    lock(this.#presence, "shared");
    return true;
  }

  /** From now on what the person has changed in their home isn't to be lost before they have said so. @throws no-space */
  expectAnswer(unsaved: Unsaved): void {
    using dir = openDirectory(sessionDir(this.id));
    explainFull(sessionDir(this.id), () => writeUnsaved(dir, unsaved));
  }

  /** They have said so. It isn't meant for who has come meanwhile. */
  noteAnswer(): void {
    if (this.#presence === undefined || !tryLock(this.#presence, "exclusive")) return;
    using dir = openDirectory(sessionDir(this.id));
    forgetUnsaved(dir);
    lock(this.#presence, "shared");
  }

  /** Why it was kept when it was over before, where it was. */
  whyKept(): string | undefined {
    using dir = openDirectory(sessionDir(this.id));
    return readUnsaved(dir)?.reason;
  }

  /** Ends the session unless others are left. */
  async leave(graceMs: number): Promise<void> {
    using hold = this.#hold;
    this.#presence?.close();
    if (hold.holdAlone()) await endAutomatic(hold, this.#options, { graceMs });
  }
}

/**
 * Joins the shared session of this name, or begins it.
 * @param onBegun what must be done before anybody else joins; where it fails, the session goes
 * @throws {UserError} as beginSession() does; busy where the name is another session's; failed where others are in one that has
 * lost its mount
 */
export async function enterShared(
  source: Chroot,
  options: SessionOptions & { readonly name: string },
  onBegun: (begun: Begun) => void,
): Promise<SharedSession> {
  prepareState();
  for (let lostTimes = 0; ;) {
    const joined = await join(options);
    if (joined instanceof SharedSession) return joined;
    lostTimes = joined === "lost" ? lostTimes + 1 : 0;
    if (lostTimes === looks) throw lost(options.name);
    if (lostTimes > 0) pause(lookMs);
    try {
      return await beginShared(source, options, onBegun);
    } catch (error) {
      // Somebody else was faster: theirs is joined, or one of those after it. Who loses a hundred times waits as long as that takes.
      if (!(error instanceof UserError && error.code === "exists")) throw error;
    }
  }
}

function lost(id: string): UserError {
  return new UserError("failed", `session ${id} isn't mounted any more, and others are still in it`, {
    hint: `end it: fallthru end --force @${id}`,
  });
}

async function beginShared(
  source: Chroot,
  options: SessionOptions,
  onBegun: (begun: Begun) => void,
): Promise<SharedSession> {
  const { hold, begun } = await beginAutomatic(source, options);
  try {
    onBegun(begun);
    hold.share();
  } catch (error) {
    await undoSession(hold, options.setup);
    throw error;
  }
  return new SharedSession(hold, options);
}

/** @returns undefined where there is none to join, any more or yet; "lost" where others are in one that isn't mounted any more */
async function join(options: SessionOptions & { readonly name: string }): Promise<SharedSession | "lost" | undefined> {
  const { name: id } = options;
  const kind = recordKind(id);
  if (kind === "named") {
    throw new UserError("busy", `session ${id} is somebody else's`, { hint: `end it: fallthru end @${id}` });
  }
  const hold = takeShared(id);
  if (hold === undefined) return undefined;
  if (recordKind(id) === "automatic" && isSessionMounted(id)) return new SharedSession(hold, options);
  // Its holder was killed while it was made or removed.
  hold[Symbol.dispose]();
  const { stuck } = await clearLeftovers((each) => each === id);
  const own = stuck.find((each) => each.id === id);
  if (own === undefined) return recordKind(id) === "automatic" && !isSessionMounted(id) ? "lost" : undefined;
  // Kept for the person's files, which couldn't be saved: here they are.
  if (recordKind(id) === "automatic" && isSessionMounted(id)) return join(options);
  throw new UserError("failed", `session ${id} was left by a process that was killed, and can't be cleared away`, {
    hint: own.reason,
  });
}
