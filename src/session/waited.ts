import { readFileSync, readlinkSync } from "node:fs";
import { isErrno } from "../kernel/error.ts";
import { clientOf } from "./client.ts";
import { describeProcess, type ProcessInfo } from "./processes.ts";

/**
 * Of the processes inside a session those that somebody else waits for: a command that another terminal or program runs
 * there, and not the daemons that commands have left. A waited-for command has its parent outside, in the same session
 * (setsid(2)) or with the terminal, and an orphan's is the machine's or the user's init. What we or those who started
 * us wait for is our own, to be ended as we like: sbuild ends the sessions of builds that it gives up.
 */
export function waitedForByOthers(inside: readonly number[]): ProcessInfo[] {
  if (inside.length === 0) return [];
  const own = new Set(ancestorsOf(process.pid));
  return inside.filter((pid) => hasWaiter(pid, new Set(inside), own)).map(describeProcess);
}

function hasWaiter(pid: number, inside: ReadonlySet<number>, own: ReadonlySet<number>): boolean {
  const stat = readStat(pid);
  if (stat === undefined || inside.has(stat.parent)) return false;
  const parent = readStat(stat.parent);
  if (parent === undefined || parent.name === "systemd") return false;
  // A process of the service starts nothing but what its client waits for, and adopts nothing.
  const isService = serves(stat.parent) !== undefined;
  if (!isService && parent.session !== stat.session && stat.terminal === 0) return false;
  const waiter = beyondOurs(stat.parent);
  return waiter > 1 && !own.has(waiter);
}

/** Where a process of this program stands between a command and who wants it, whoever that is. */
function beyondOurs(pid: number): number {
  let waiter = pid;
  while (waiter > 1 && isOurs(waiter)) waiter = starterOf(waiter);
  return waiter;
}

function ancestorsOf(pid: number): number[] {
  const ancestors: number[] = [];
  for (let next = pid; next > 1; next = starterOf(next)) ancestors.push(next);
  return ancestors;
}

/** Who started a process; of one of the service's its client. */
function starterOf(pid: number): number {
  return serves(pid) ?? readStat(pid)?.parent ?? 0;
}

/** Only a process of this program is believed. */
function serves(pid: number): number | undefined {
  const client = clientOf(readStat(pid)?.name ?? "");
  return client !== undefined && isOurs(pid) ? client : undefined;
}

function isOurs(pid: number): boolean {
  return executableOf(pid) === executableOf(process.pid);
}

interface Stat {
  readonly name: string;
  readonly parent: number;
  readonly session: number;
  /** 0 for none. */
  readonly terminal: number;
}

/** The name stands in brackets and may have any in it. @see proc_pid_stat(5) */
function readStat(pid: number): Stat | undefined {
  const text = ofProcess(() => readFileSync(`/proc/${pid}/stat`, "latin1"));
  if (text === undefined) return undefined;
  const end = text.lastIndexOf(")");
  const [, parent, , session, terminal] = text.slice(end + 2).split(" ");
  return {
    name: text.slice(text.indexOf("(") + 1, end),
    parent: Number(parent),
    session: Number(session),
    terminal: Number(terminal),
  };
}

function executableOf(pid: number): string | undefined {
  return ofProcess(() => readlinkSync(`/proc/${pid}/exe`));
}

/** It may end while it is looked at, and the path of its program be longer than Linux tells. */
function ofProcess<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES", "ENAMETOOLONG")) return undefined;
    throw error;
  }
}
