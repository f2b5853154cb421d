import { readFileSync } from "node:fs";
import { UserError } from "../error.ts";
import type { Fd } from "../kernel/fd.ts";
import { fileSystemOf, statAt } from "../kernel/file.ts";

/**
 * The error for ENOSPC and EDQUOT below `dir`: which file system has nothing left, and of what.
 * @param task what was being done: "unpack ./usr/bin/perl"
 */
export function noSpace(dir: Fd, task: string, cause: unknown): UserError {
  const { type, freeInodes, totalInodes } = fileSystemOf(dir);
  const lacks = totalInodes > 0 && freeInodes === 0 ? "has no inodes left" : "is full";
  return new UserError("no-space", `${task}: the file system at ${mountPointOf(dir)} (${type}) ${lacks}`, {
    hint: "free some space there and try again",
    cause,
  });
}

/** Where the file system of an open directory is mounted. @see proc_pid_mountinfo(5) */
function mountPointOf(dir: Fd): string {
  const id = `${statAt(dir).mountId}`;
  const line = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .find((text) => text.startsWith(`${id} `));
  const field = line?.split(" ")[4];
  return field === undefined
    ? dir.path
    : field.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8)));
}
