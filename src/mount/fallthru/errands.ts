import { SIGKILL } from "../../kernel/abi/process.ts";
import { E } from "../../kernel/abi/errno.ts";
import { O } from "../../kernel/abi/file.ts";
import { closeFd, duplicateFd } from "../../kernel/at.ts";
import { Fd } from "../../kernel/fd.ts";
import { openAt, writeAll } from "../../kernel/file.ts";
import { startHelper } from "../../kernel/helper.ts";
import { readAt, writeAt } from "../../kernel/io.ts";
import { makeMemoryFile, resizeFile } from "../../kernel/memory.ts";
import { makeSocketPair, receiveDescriptor, sendDescriptor } from "../../kernel/pass.ts";
import { waitUntilReady } from "../../kernel/poll.ts";
import { dieWithParent } from "../../kernel/self.ts";
import type { Uring } from "../../kernel/uring.ts";
import { askChild } from "../../kernel/wait.ts";
import { type Errand, type Result, runErrand } from "../../union/errand.ts";
import type { PendingErrand } from "../../union/remote.ts";
import { serverCommand, serverEnvironment } from "./command.ts";

/** What a runner has beside 0 to 2: a socket, and the memory in which errands and results are told. */
const runnerDescriptors = { socket: 3, memory: 4 } as const;
/** In its environment: this process runs errands. */
export const errandVariable = "FALLTHRU_ERRANDS";

/** So many errands may hang at once; each costs a process. */
const MOST = 32;
/** So many processes wait for the next errand. */
const IDLE = 2;

/** Some errands for one request. */
interface Job {
  readonly key: number;
  readonly errands: readonly Errand[];
  /** Ours: those that the errands name. */
  readonly descriptors: readonly number[];
  readonly take: (results: readonly Result[]) => void;
}

/** Processes that ask for us what may take for ever: each does one job at a time. */
export class Errands {
  readonly #uring: Uring;
  readonly #idle: Runner[] = [];
  /** By the job's key. */
  readonly #busy = new Map<number, Runner>();
  readonly #waiting: Job[] = [];

  constructor(uring: Uring) {
    this.#uring = uring;
  }

  /** @param take gets a result for each, later; −EINTR of those that were cancelled, −EIO of a process that has crashed */
  run(key: number, pending: readonly PendingErrand[], take: (results: readonly Result[]) => void): void {
    const descriptors: number[] = [];
    const errands = pending.map(({ errand, descriptors: own }) => {
      const first = descriptors.length;
      descriptors.push(...own.map((fd) => duplicateFd(fd)));
      return shift(errand, first);
    });
    this.#begin({ key, errands, descriptors, take });
  }

  cancel(key: number): void {
    this.#busy.get(key)?.kill();
    const at = this.#waiting.findIndex((job) => job.key === key);
    const [job] = at < 0 ? [] : this.#waiting.splice(at, 1);
    if (job !== undefined) this.#end(job, -E.INTR);
  }

  #begin(job: Job): void {
    if (this.#idle.length === 0 && this.#busy.size >= MOST) {
      this.#waiting.push(job);
      return;
    }
    const runner = this.#idle.pop() ?? Runner.start();
    this.#busy.set(job.key, runner);
    runner.send(job);
    const answer = Buffer.alloc(8);
    this.#uring.read(runner.socket.number, answer, 0, (length) => {
      this.#busy.delete(job.key);
      if (length === answer.length) {
        const results = runner.results(answer.readDoubleLE());
        if (this.#idle.length < IDLE) this.#idle.push(runner);
        else runner.close();
        for (const fd of job.descriptors) closeFd(fd);
        job.take(results);
      } else {
        runner.close();
        this.#end(job, runner.wasKilled ? -E.INTR : -E.IO);
      }
      const next = this.#waiting.shift();
      if (next !== undefined) this.#begin(next);
    });
  }

  #end(job: Job, status: number): void {
    for (const fd of job.descriptors) closeFd(fd);
    job.take(job.errands.map(() => ({ status })));
  }
}

/** The same with descriptors that begin further behind. */
function shift(errand: Errand, by: number): Errand {
  const moved = { ...errand, directory: errand.directory + by };
  if (moved.kind !== "copy" && moved.kind !== "content") return moved;
  const content = moved.content && { ...moved.content, directory: moved.content.directory + by };
  return { ...moved, to: moved.to + by, ...(content && { content }) };
}

/** One of those processes. */
class Runner {
  readonly socket: Fd;
  readonly #memory: Fd;
  readonly #pid: number;
  wasKilled = false;

  private constructor(socket: Fd, memory: Fd, pid: number) {
    this.socket = socket;
    this.#memory = memory;
    this.#pid = pid;
  }

  static start(): Runner {
    const memory = makeMemoryFile("fallthru-errands");
    const [socket, others] = makeSocketPair();
    using theirs = others;
    using nothing = openAt(null, "/dev/null", O.RDWR);
    const { file, argv } = serverCommand();
    const environment = [...serverEnvironment(), `${errandVariable}=1`];
    const pid = startHelper(file, argv, environment, [nothing, nothing, nothing, theirs, memory]);
    return new Runner(socket, memory, pid);
  }

  send({ errands, descriptors }: Job): void {
    const text = Buffer.from(JSON.stringify(errands));
    resizeFile(this.#memory, text.length);
    writeAt(this.#memory.number, text, 0);
    // The last one says how long that is.
    for (const [index, fd] of descriptors.entries())
      sendDescriptor(this.socket, index < descriptors.length - 1 ? 1 : -text.length, fd);
  }

  results(length: number): readonly Result[] {
    return JSON.parse(readText(this.#memory, length)) as Result[];
  }

  /** What it waits for ends, where that can be ended. */
  kill(): void {
    this.wasKilled = true;
    process.kill(this.#pid, SIGKILL);
  }

  /** It ends by itself when it sees that. */
  close(): void {
    this.socket.close();
    this.#memory.close();
    ended.push(this.#pid);
    // Those that were closed before have ended by now, or will be looked at next time.
    for (const pid of ended.splice(0)) if (askChild(pid) === undefined) ended.push(pid);
  }
}

/** Children that are to be buried. */
const ended: number[] = [];

function readText(memory: Fd, length: number): string {
  const text = Buffer.alloc(length);
  readAt(memory.number, text, 0);
  return text.toString("utf8");
}

/** The whole life of such a process. @returns its exit status */
export function runErrands(): number {
  dieWithParent();
  process.umask(0);
  const socket = new Fd(runnerDescriptors.socket, "socket");
  const memory = new Fd(runnerDescriptors.memory, "the errands");
  const descriptors: number[] = [];
  for (;;) {
    waitUntilReady([{ file: socket }], -1);
    const message = receiveDescriptor(socket);
    if (message === undefined) return 0;
    descriptors.push(message.descriptor);
    if (message.tag > 0) continue;
    const errands = JSON.parse(readText(memory, -message.tag)) as Errand[];
    const results = errands.map((errand) => runErrand(errand, descriptors));
    for (const fd of descriptors.splice(0)) closeFd(fd);
    const text = Buffer.from(JSON.stringify(results));
    resizeFile(memory, text.length);
    writeAt(memory.number, text, 0);
    const answer = Buffer.alloc(8);
    answer.writeDoubleLE(text.length);
    writeAll(socket, answer);
  }
}
