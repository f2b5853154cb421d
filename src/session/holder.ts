import { O } from "../kernel/abi/file.ts";
import { isErrno, unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { makeDirectoryAt, openAt, renameAt, unlinkAt } from "../kernel/file.ts";
import { helperEnvironment, startHelper } from "../kernel/helper.ts";
import { waitUntilReady } from "../kernel/poll.ts";
import { makePipe } from "../kernel/self.ts";
import { connectTo, listenAt } from "../kernel/socket.ts";
import { namesIn } from "../kernel/trusted.ts";
import { openProcess } from "../kernel/wait.ts";
import { randomHex } from "./id.ts";
import { runDir } from "./paths.ts";

/** For whom somebody has a part in a session: a program that had PAM open it, and a user. */
export interface Counted {
  readonly pid: number;
  readonly uid: number;
}

/** The superuser's: a socket for each that is counted. */
const countedDir = `${runDir}/counted`;

/** Has a part in a session until a program has ended, or closeCounted() was called for it. */
export class Holder implements Disposable {
  readonly #program: Fd;
  readonly #socket: Fd;
  readonly #path: string;

  private constructor(program: Fd, socket: Fd, path: string) {
    this.#program = program;
    this.#socket = socket;
    this.#path = path;
  }

  /** @returns undefined where the program has ended already */
  static for({ pid, uid }: Counted): Holder | undefined {
    const program = unless(["ESRCH"], () => openProcess(pid));
    if (program === undefined) return undefined;
    unless(["EEXIST"], () => makeDirectoryAt(null, countedDir, 0o700));
    const path = `${countedDir}/${uid}-${pid}-${randomHex()}`;
    // Whoever finds it by its name is to find somebody who listens.
    const early = `${countedDir}/.${randomHex()}`;
    const socket = listenAt(early, 1);
    renameAt(null, early, null, path);
    return new Holder(program, socket, path);
  }

  wait(): void {
    while (waitUntilReady([{ file: this.#program }, { file: this.#socket }], -1).length === 0);
  }

  /** Not before all is done: who closes waits for that. */
  [Symbol.dispose](): void {
    unless(["ENOENT"], () => unlinkAt(null, this.#path));
    this.#socket.close();
    this.#program.close();
  }
}

/**
 * Ends one part in a session that somebody has for a program, and waits until what goes with it is gone.
 * @returns whether there was one
 */
export function closeCounted({ pid, uid }: Counted, patienceMs: number): boolean {
  const names = unless(["ENOENT"], () => namesIn(countedDir)) ?? [];
  for (const name of names.filter((each) => each.startsWith(`${uid}-${pid}-`))) {
    const path = `${countedDir}/${name}`;
    const opened = unless(["ENOENT"], () => openAt(null, path, O.PATH | O.NOFOLLOW));
    if (opened === undefined) continue;
    using place = opened;
    // Taken away first: of several who close each has its own.
    if (unless(["ENOENT"], () => unlinkAt(null, path) ?? true) === undefined) continue;
    const connected = connectToLiving(`/proc/self/fd/${place.number}`);
    if (connected === undefined) continue;
    using holder = connected;
    waitFor(holder, patienceMs);
    return true;
  }
  return false;
}

/** @returns undefined where who listened was killed */
function connectToLiving(path: string): Fd | undefined {
  try {
    return connectTo(path);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ECONNREFUSED")) return undefined;
    throw error;
  }
}

/**
 * Starts a process of ours that goes on without us, and waits until it says that it is ready, or has ended.
 * @param words of the verb, which closes its standard output when it is ready
 * @param more what it has as its descriptor 3, and so on
 */
export function startHolder(words: readonly string[], patienceMs: number, more: readonly Fd[] = []): void {
  const [reading, writing] = makePipe();
  using ready = reading;
  {
    using theirs = writing;
    using nothing = openAt(null, "/dev/null", O.RDWR);
    startHelper(process.execPath, [process.execPath, ...words], helperEnvironment, [nothing, theirs, nothing, ...more]);
  }
  waitFor(ready, patienceMs);
}

/** Signals end a waiting: those too by which a JavaScript runtime stops its threads. */
function waitFor(file: Fd, patienceMs: number): void {
  const end = Date.now() + patienceMs;
  for (let left = patienceMs; left > 0; left = end - Date.now()) {
    if (waitUntilReady([{ file }], left).length > 0) return;
  }
}
