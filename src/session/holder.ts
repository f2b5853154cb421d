import { O, S } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { makeNodeAt, openAt, unlinkAt, writeAll } from "../kernel/file.ts";
import { startHelper } from "../kernel/helper.ts";
import { waitUntilReady } from "../kernel/poll.ts";
import { makePipe } from "../kernel/self.ts";
import { openProcess } from "../kernel/wait.ts";
import { sessionDir } from "./paths.ts";

/** A pipe with a name in the session's directory, for each program for which somebody has a part in the session. */
function pipeOf(id: string, pid: number): string {
  return `${sessionDir(id)}/holder-${pid}`;
}

/** Waits, as who has a part in a session, until the process has ended or releaseHolder() is called for it. */
export function holdWhile(id: string, pid: number, onReady: () => void): void {
  const opened = unless(["ESRCH"], () => openProcess(pid));
  if (opened === undefined) return;
  using program = opened;
  const made = makeOwnPipe(pipeOf(id, pid));
  if (made === undefined) return; // It is counted already.
  using pipe = made;
  onReady();
  while (waitUntilReady([{ file: program }, { file: pipe }], -1).length === 0);
  unless(["ENOENT"], () => unlinkAt(null, pipeOf(id, pid)));
}

/** @returns undefined where somebody reads from it */
function makeOwnPipe(path: string): Fd | undefined {
  using other = openForWriting(path);
  if (other !== undefined) return undefined;
  unless(["ENOENT"], () => unlinkAt(null, path));
  makeNodeAt(null, path, S.IFIFO | 0o600);
  return openAt(null, path, O.RDWR | O.NONBLOCK | O.NOFOLLOW);
}

export function releaseHolder(id: string, pid: number): void {
  using pipe = openForWriting(pipeOf(id, pid));
  if (pipe !== undefined) writeAll(pipe, Buffer.from("."));
}

/** @returns undefined where nobody reads from it: ENXIO, of one that was killed */
function openForWriting(path: string): Fd | undefined {
  return unless(["ENOENT", "ENXIO"], () => openAt(null, path, O.WRONLY | O.NONBLOCK | O.NOFOLLOW));
}

/**
 * Starts a process of ours that goes on without us, and waits until it says that it is ready, or has ended.
 * @param words of the verb, which closes its standard output when it is ready
 */
export function startHolder(words: readonly string[], patienceMs: number): void {
  const [reading, writing] = makePipe();
  using ready = reading;
  {
    using theirs = writing;
    using nothing = openAt(null, "/dev/null", O.RDWR);
    startHelper(process.execPath, [process.execPath, ...words], holderEnvironment, [nothing, theirs, nothing]);
  }
  waitUntilReady([{ file: ready }], patienceMs);
}

const holderEnvironment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
