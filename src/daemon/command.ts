import {
  SIGCONT,
  SIGHUP,
  SIGINT,
  SIGKILL,
  SIGQUIT,
  SIGSTOP,
  SIGTERM,
  SIGUSR1,
  SIGUSR2,
  SIGWINCH,
} from "../kernel/abi/process.ts";
import { isErrno } from "../kernel/error.ts";
import { waitUntilReady } from "../kernel/poll.ts";
import { askChild, openProcess } from "../kernel/wait.ts";
import type { CommandEnd } from "../frontend/schroot/caller.ts";
import type { Connection } from "./connection.ts";

/** What a client may have done to its command. */
const allowed = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGSTOP];
/** Of these, those that end a program which doesn't say otherwise. */
const ending = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/** How late a command's stopping may be noticed that came at the worst moment. */
const lookMs = 500;

export function isEnding(signal: number): boolean {
  return ending.includes(signal);
}

/** How often is asked what a command's user should know. */
const newsMs = 5000;

/**
 * Waits for a command that is the leader of its process group, and does what its client says meanwhile. Without a client it is
 * hung up on, and killed where it doesn't mind that.
 * @param how whether the client is told of its being stopped; how long it may mind after the client went away; when it is killed;
 * what is done every now and then where it is on a terminal
 */
export async function attend(
  pid: number,
  connection: Connection,
  how: {
    readonly tellsStops: boolean;
    readonly patienceMs: number;
    readonly untilMs?: number;
    readonly onLook?: () => void;
  },
): Promise<CommandEnd> {
  const { tellsStops: tellStops, patienceMs, untilMs = Infinity, onLook } = how;
  using process_ = openProcess(pid);
  using _stops = tellStops ? noticeStops() : undefined;
  const longestWaitMs = tellStops ? lookMs : -1;
  // Whoever waits for its start goes on now. After that there is nothing for this process to do but wait.
  await new Promise((done) => setImmediate(done));
  let killAt = untilMs;
  let isLeft = false;
  let nextLook = Date.now() + newsMs;
  for (;;) {
    if (Date.now() >= nextLook) {
      nextLook = Date.now() + newsMs;
      onLook?.();
    }
    const outcome = askChild(pid);
    if (outcome?.kind === "exited") return { status: outcome.status };
    if (outcome?.kind === "killed") return { signal: outcome.signal };
    if (outcome?.kind === "stopped" && tellStops) connection.send({ kind: "stopped" });
    if (connection.isGone && !isLeft) {
      isLeft = true;
      killAt = Math.min(killAt, Date.now() + patienceMs);
      for (const signal of [SIGHUP, SIGCONT]) signalGroup(pid, signal);
    }
    if (Date.now() >= killAt) signalGroup(pid, SIGKILL);
    const watched = [process_, ...(connection.isGone ? [] : [connection.socket])].map((file) => ({ file }));
    waitUntilReady(watched, killAt === Infinity ? longestWaitMs : waitTo(killAt));
    for (const message of connection.receive()) {
      if (message.kind === "signal" && allowed.includes(message.signal)) signalGroup(pid, message.signal);
    }
  }
}

/** poll(2) takes no more than 24 days. */
function waitTo(momentMs: number): number {
  return Math.min(Math.max(100, momentMs - Date.now()), 1 << 30);
}

/** Until the child has been buried nobody else can have its number. */
function signalGroup(pid: number, signal: number): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!isErrno(error, "ESRCH")) throw error;
  }
}

/** A child's stopping makes no descriptor ready: SIGCHLD, where it isn't left at its default, ends the waiting. */
function noticeStops(): Disposable {
  const notice = (): void => {};
  process.on("SIGCHLD", notice);
  return { [Symbol.dispose]: () => process.off("SIGCHLD", notice) };
}
