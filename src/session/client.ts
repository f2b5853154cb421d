import { writeFileSync } from "node:fs";

/**
 * Whom a process of the service works for stands in its name (proc_pid_comm(5)), so that other processes know who waits
 * for the commands that it starts; ps(1) shows it, too.
 */
export function workFor(client: number | undefined): void {
  writeFileSync("/proc/self/comm", client === undefined ? "fallthrud" : `client ${client}`);
}

/** The client that a process of that name works for. */
export function clientOf(name: string): number | undefined {
  const pid = /^client (\d+)$/.exec(name)?.[1];
  return pid === undefined ? undefined : Number(pid);
}
