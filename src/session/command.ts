import { O, RESOLVE } from "../kernel/abi/file.ts";
import { KernelError } from "../kernel/error.ts";
import { Fd } from "../kernel/fd.ts";
import { openAt, statAt, writeAll } from "../kernel/file.ts";
import type { Path } from "../kernel/libc.ts";
import { verbatimArguments } from "../kernel/own.ts";
import type { Credentials, Program, Surroundings } from "../kernel/process.ts";
import { spawn } from "../kernel/spawn.ts";
import type { SignalRelay } from "./signals.ts";
import { type ChildEnd, waitForEnd } from "./waiting.ts";

/** For front ends that explain what the kernel refused. */
export { KernelError } from "../kernel/error.ts";

/** For front ends of this process's own caller: what it is made of, and where its words go. */
export { ownEnvironment, verbatimValue } from "../kernel/own.ts";

/**
 * Starts a command as a child of this process and waits for its end as a shell does.
 * @param onStarted called once the command has its root
 * @throws {KernelError} see whyNotStarted()
 */
export async function runCommand(
  where: Surroundings,
  program: Program,
  signals: SignalRelay,
  onStarted?: () => void,
): Promise<ChildEnd> {
  const argv = program.argv.every((word) => typeof word === "string") ? verbatimArguments(program.argv) : program.argv;
  const pid = spawn(where, { ...program, argv });
  onStarted?.();
  signals.relayTo(pid);
  return waitForEnd(pid);
}

/** What kept a command from being started: its directory, or its file; undefined where it was anything else. */
export function whyNotStarted(error: unknown): { readonly what: "directory" | "file"; reason: string } | undefined {
  if (!(error instanceof KernelError)) return undefined;
  if (error.syscall === "change to directory") return { what: "directory", reason: sentence(error) };
  return error.syscall === "run" ? { what: "file", reason: sentence(error) } : undefined;
}

/**
 * Why a user can't enter a directory of a root, as far as that can be told from outside: the directories above it, and
 * its ACL, are the kernel's to judge when the command is started.
 */
export function whyNotEntered(root: Fd, directory: Path, user: Credentials): string | undefined {
  try {
    using open = openAt(root, directory, O.PATH | O.DIRECTORY, { resolve: RESOLVE.IN_ROOT });
    const { mode, uid, gid } = statAt(open);
    const bits = uid === user.uid ? mode >> 6 : user.gid === gid || user.groups.includes(gid) ? mode >> 3 : mode;
    return user.uid === 0 || (bits & 1) !== 0 ? undefined : "Permission denied";
  } catch (error) {
    if (error instanceof KernelError) return sentence(error);
    throw error;
  }
}

/** strerror(3)'s text. */
function sentence(error: KernelError): string {
  const reason = /: ([^:]*) \(E\w+\)$/.exec(error.message)?.[1] ?? error.errno;
  return reason.charAt(0).toUpperCase() + reason.slice(1);
}

/** Writes all of a text; that nobody reads it is nobody's mistake. */
export function writeText(stream: 1 | 2, text: string): void {
  try {
    writeAll(new Fd(stream, stream === 1 ? "standard output" : "standard error"), Buffer.from(text));
  } catch (error) {
    if (!(error instanceof KernelError) || error.errno !== "EPIPE") throw error;
  }
}
