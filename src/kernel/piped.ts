import { check, errnoName, isErrno } from "./error.ts";
import type { Fd } from "./fd.ts";
import { startHelper } from "./helper.ts";
import { lastErrno, native, nativeAsync, type Path } from "./libc.ts";
import { restoreFileLimit } from "./process.ts";
import { makePipe } from "./self.ts";
import { type Outcome, waitForChild } from "./wait.ts";

const poll_ = nativeAsync("poll", "int", ["void *", "unsigned long", "int"]);
const read_ = native("read", "long", ["int", "void *", "size_t"]);

const POLLIN = 1;
/** How often it is looked whether a program has ended whose children keep its output open. */
const lookMs = 50;

/** Output of a program: what it has written to its descriptor 1 or 2. */
export type OnOutput = (stream: 1 | 2, bytes: Uint8Array) => void;

/**
 * Runs a program with its output through pipes, umask 022 and the working directory `/`. What its children write after
 * its end, as a daemon does that it has started, isn't waited for.
 * @throws {KernelError} ENOENT, EACCES, ENOEXEC of `file`
 */
export async function runPiped(
  program: { readonly file: Path; readonly argv: readonly Path[]; readonly env: readonly Path[] },
  stdin: Fd,
  onOutput: OnOutput,
): Promise<Exclude<Outcome, { kind: "stopped" }>> {
  const [out, outEnd] = makePipe();
  const [err, errEnd] = makePipe();
  using _out = out;
  using _err = err;
  let pid: number;
  {
    using _outEnd = outEnd;
    using _errEnd = errEnd;
    pid = start(program, [stdin, outEnd, errEnd]);
  }
  using _relay = relaySignals(pid);
  let ended = false;
  const outcome = waitForEnd(pid).finally(() => (ended = true));
  // Whoever waits for the output first must not leave this one unheard.
  outcome.catch(() => {});
  const open = new Map<1 | 2, Fd>([
    [1, out],
    [2, err],
  ]);
  while (open.size > 0) {
    const wasEnded = ended;
    if (!(await forward(open, onOutput)) && wasEnded) break;
  }
  return await outcome;
}

/** What is to end us ends it, and we go on to clean up. A terminal's keys reach it by themselves. */
function relaySignals(pid: number): Disposable {
  const signals = ["SIGTERM", "SIGHUP"] as const;
  const relay = (signal: NodeJS.Signals) => {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (!isErrno(error, "ESRCH")) throw error;
    }
  };
  for (const signal of signals) process.on(signal, relay);
  return { [Symbol.dispose]: () => signals.forEach((signal) => process.off(signal, relay)) };
}

/** Of our session: keys of the terminal reach it too, and it may read from the terminal. */
function start(
  { file, argv, env }: { file: Path; argv: readonly Path[]; env: readonly Path[] },
  descriptors: readonly Fd[],
): number {
  const umask = process.umask(0o022);
  try {
    restoreFileLimit();
    return startHelper(file, argv, env, descriptors, "ours");
  } finally {
    process.umask(umask);
  }
}

async function waitForEnd(pid: number): Promise<Exclude<Outcome, { kind: "stopped" }>> {
  for (;;) {
    const outcome = await waitForChild(pid);
    if (outcome.kind !== "stopped") return outcome;
  }
}

/** Passes on what can be read within a moment. @returns whether there was anything, if only an end */
async function forward(open: Map<1 | 2, Fd>, onOutput: OnOutput): Promise<boolean> {
  const streams = [...open];
  const request = Buffer.alloc(8 * streams.length); // struct pollfd: fd, events, revents
  for (const [index, [, fd]] of streams.entries()) {
    request.writeInt32LE(fd.number, 8 * index);
    request.writeInt16LE(POLLIN, 8 * index + 4);
  }
  await poll_(request, streams.length, lookMs);
  let isAny = false;
  for (const [index, [stream, fd]] of streams.entries()) {
    if (request.readInt16LE(8 * index + 6) === 0) continue;
    isAny = true;
    const bytes = Buffer.alloc(65_536);
    const length = read_(fd.number, bytes, bytes.length);
    if (length < 0 && errnoName(lastErrno()) === "EINTR") continue;
    if (check("read", fd, length) === 0) open.delete(stream);
    else onOutput(stream, bytes.subarray(0, length));
  }
  return isAny;
}
