// What must hold of a session after a crash: it is whole, or gone.
import { expect } from "bun:test";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { unless } from "../../src/kernel/error.ts";
import { detachMount } from "../../src/kernel/mount.ts";
import type { SessionState } from "../../src/session/types.ts";
import { describeChroot } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { leftovers, leftoversAfter, type Traces, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import type { Point } from "./strace.ts";

/** The host has this file too, so that a session on the host's root is known by it as one on the chroot is. */
const mark = "/etc/hostname";

/** Makes the chroot `tiny`, with a profile that has one of each: each file more is six system calls to be killed at. */
export function describeMarked(keys: readonly string[] = []): void {
  const root = tinyRoot();
  writeFileSync(join(root, mark), "mark\n");
  const profile = "/etc/schroot/crash";
  mkdirSync(profile, { recursive: true });
  copyFileSync("/etc/schroot/default/fstab", join(profile, "fstab"));
  writeFileSync(join(profile, "copyfiles"), "/etc/resolv.conf\n");
  writeFileSync(join(profile, "nssdatabases"), "passwd\nservices\n");
  describeChroot("tiny", root, ["profile=crash", ...keys]);
}

/**
 * What is there when nothing is: after a first command, which makes /run/fallthru, and when descriptions are old enough for what they
 * say to be kept (src/chroot/kept.ts): from then on a command's system calls are the same each time.
 */
export async function settle(prepare: () => void = () => {}): Promise<Traces> {
  prepare();
  await sleep(2100);
  expect(await fallthru(["recover"])).toMatchObject({ status: 0, stderr: "" });
  return traces();
}

export async function beginMarked(id: string, options: readonly string[] = []): Promise<void> {
  expect(await fallthru(["begin", "tiny", "--name", id, ...options])).toMatchObject({ status: 0, stderr: "" });
}

/** As a restart of the machine leaves one session. */
export async function beginUnmounted(id: string, options: readonly string[] = []): Promise<void> {
  await beginMarked(id, options);
  detachMount(`/run/fallthru/mount/${id}/${id}`);
}

/** As a restart of the machine: all mounts of sessions and all that is in memory are gone, the disk is as it was. */
export function restart(): void {
  unless(["EINVAL"], () => detachMount("/run/fallthru"));
}

/** The state of a session in `fallthru list`; undefined where it isn't listed. */
export async function stateOf(id: string): Promise<SessionState | undefined> {
  const listed = await fallthru(["list", "--json"]);
  expect(listed).toMatchObject({ status: 0, stderr: "" });
  const { sessions } = JSON.parse(listed.stdout) as { sessions: { id: string; state: SessionState }[] };
  return sessions.find((session) => session.id === id)?.state;
}

/**
 * Checks that `recover` makes the session whole or gone, that a whole one can be run in and ended, and that
 * nothing is left of it then.
 * @returns which it was
 */
export async function expectWholeOrGone(id: string, before: Traces): Promise<"whole" | "gone"> {
  const recovered = await fallthru(["recover", "--json"]);
  expect(recovered).toMatchObject({ status: 0, stderr: "" });
  expect(JSON.parse(recovered.stdout)).toMatchObject({ lost: [] });
  const state = await stateOf(id);
  if (state === undefined) {
    // A loop device goes when the killed process has let go of its mount.
    expect(await leftoversAfter(before)).toEqual([]);
    return "gone";
  }
  expect(state).toBe("open");
  await expectUsable(id);
  expect(await fallthru(["end", id])).toMatchObject({ status: 0, stderr: "" });
  expect(leftovers(before)).toEqual([]);
  return "whole";
}

/** Reads what the root has and writes something new. */
export async function expectUsable(id: string): Promise<void> {
  const command = ["sh", "-c", `test -s ${mark} && echo new > /new && cat /new`];
  expect(await fallthru(["run", `@${id}`, "--", ...command])).toMatchObject({ status: 0, stdout: "new\n" });
}

/** Says at which point it was where `check` fails. */
export async function expectFate<T>(point: Point, check: () => Promise<T>): Promise<T> {
  try {
    return await check();
  } catch (error) {
    console.log(`at ${point.syscall} ${point.nth}: ${point.call}`);
    throw error;
  }
}
