import { UserError } from "../../error.ts";
import { isErrno, KernelError, unless } from "../../kernel/error.ts";
import { Fd } from "../../kernel/fd.ts";
import { openAt, openDirectory, readAll, writeAll } from "../../kernel/file.ts";
import { O } from "../../kernel/abi/file.ts";
import { makeMemoryFile } from "../../kernel/memory.ts";
import { removeTree } from "../../layer/remove.ts";
import type { Hold } from "../hold.ts";
import { memoryUpperOf } from "../paths.ts";
import { readRecord, type RecordKind, type SessionRecord } from "../record.ts";
import { isMounted, isSessionMounted } from "../state.ts";
import { isHistory, passingFiles, type PassingHome } from "./files.ts";
import { saveAs } from "./start.ts";
import { forgetUnsaved, readUnsaved, type Unsaved, writeUnsaved } from "./unsaved.ts";

/** In the real home; see docs/login.md. */
const placeName = "unsaved";

/**
 * Saves the files of a home about which nobody has decided, before their session goes: they are copied to `unsaved/DATE` in the real
 * home, as the person. Doing it again, after it failed or was killed, goes on in the same directory.
 * @param hold of the session, in which no process is left; its directory may be locked
 * @returns what somebody should know, a line each
 * @throws {UserError} no-space, failed: the session is to be kept
 */
export async function rescueHome(hold: Hold, dir: Fd, otherwise: "keep" | "give up"): Promise<readonly string[]> {
  const unsaved = readUnsaved(dir);
  if (unsaved === undefined) return [];
  const { person } = unsaved;
  const triedMs = unsaved.triedMs ?? Date.now();
  const reason = await tryToSave(hold, dir, { ...unsaved, triedMs });
  if (reason === undefined) {
    forgetUnsaved(dir);
    return [];
  }
  if (otherwise === "give up") return [`files of uid ${person.uid} are lost: ${reason}`];
  noteFailure(dir, { ...unsaved, triedMs, reason });
  throw new UserError("failed", `files of ${unsaved.home.path} in session ${hold.id} can't be saved: ${reason}`, {
    hint: `the session is kept for them, and the person's next login goes on in it; give them up: fallthru end --force @${hold.id}`,
  });
}

/** @returns why not all was saved that can be */
async function tryToSave(
  hold: Hold,
  dir: Fd,
  unsaved: Unsaved & { readonly triedMs: number },
): Promise<string | undefined> {
  try {
    const record = readRecord(hold.id);
    // Of a session that was never whole nobody has been in.
    if (record === undefined || !(await isReachable(record, hold, dir))) return undefined;
    const home: PassingHome = { id: hold.id, ...unsaved.home, isLocked: true };
    const files = passingFiles(home);
    if (files.every((file) => isHistory(file))) return undefined;
    noteFailure(dir, unsaved);
    return await save(home, unsaved, files.toSorted(visibleFirst));
  } catch (error) {
    if (!(error instanceof UserError || error instanceof KernelError)) throw error;
    return error.message;
  }
}

/** Where there isn't room for all, what somebody has made comes before what programs keep. */
function visibleFirst(one: string, other: string): number {
  return Number(one.startsWith(".")) - Number(other.startsWith("."));
}

async function save(
  home: PassingHome,
  { person, triedMs }: Unsaved & { readonly triedMs: number },
  files: readonly string[],
): Promise<string | undefined> {
  using words = makeMemoryFile("words");
  const into = `${placeName}/${new Date(triedMs).toISOString().slice(0, 19).replaceAll(":", ".")}`;
  const outcome = await saveAs(person, home, files, { into, words });
  using said = openAt(null, words.procPath, O.RDONLY);
  const text = readAll(said);
  // For the log of the service, or whoever has these sessions cleared away.
  writeAll(new Fd(2, "standard error"), text);
  if (outcome !== "failed") return undefined;
  const lines = text.toString("utf8").trim().split("\n");
  return lines.find((line) => line !== "" && !line.startsWith("saved ")) ?? "the process that saves them was killed";
}

/** Mounted, or can be: after a restart of the machine it isn't, and what was in memory is gone. */
async function isReachable(
  record: SessionRecord & { readonly kind: RecordKind },
  hold: Hold,
  dir: Fd,
): Promise<boolean> {
  if (isSessionMounted(hold.id)) return true;
  if (record.upper.kind === "tmpfs" && !isMounted(memoryUpperOf(hold.id))) return false;
  // It was never to be mounted again, so nobody saw to it that all of it is on the disk: what is there is looked for.
  for (const step of record.plan.steps) if (step.kind === "union") takeMarkOfCrash(step.union.work);
  const { mountAgain } = await import("../recover.ts");
  await mountAgain(record, hold, dir, "leave");
  return true;
}

/** overlayfs, and our own union, mount no volatile upper a second time. */
function takeMarkOfCrash(work: string): void {
  const opened = unless(["ENOENT"], () => openDirectory(`${work}/work`));
  if (opened === undefined) return;
  using inside = opened;
  removeTree(inside, "incompat");
}

/** A full disk has no room for the note either; then the next try has another directory. */
function noteFailure(dir: Fd, unsaved: Unsaved): void {
  try {
    writeUnsaved(dir, unsaved);
  } catch (error) {
    if (!isErrno(error, "ENOSPC", "EDQUOT")) throw error;
  }
}
