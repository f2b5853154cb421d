import type fs from "node:fs";
import { AT, O, STATX_BASIC_STATS, STATX_SIZE } from "./abi/file.ts";
import { check, errnoName, unless } from "./error.ts";
import type { Fd } from "./fd.ts";
import { openAt, readAll, writeAll } from "./file.ts";
import { cString, lastErrno, placesIn, quick, withoutErrno } from "./libc.ts";

/**
 * Files by their path, for places that only the superuser can change: as node:fs has it, which costs a start 1.2 ms.
 * For what is rarely done there is that itself.
 */

const statx_ = quick("statx", "int", ["int", "void *", "int", "unsigned int", "void *"]);
const getdents64_ = quick("getdents64", "long", ["int", "void *", "size_t"]);
const canAccess_ = withoutErrno("faccessat", "int", ["int", "void *", "int", "int"]);

/** node:fs, loaded at the first call: not for what every `begin`, `run` or `end` does. */
export function nodeFs(): typeof fs {
  return process.getBuiltinModule("node:fs");
}

/** Whether there is something at a path; links are followed. */
export function exists(path: string): boolean {
  return canAccess_(AT.FDCWD, cString(path), 0, 0) === 0;
}

export function readText(path: string, encoding: "utf8" | "latin1" = "utf8"): string {
  using file = openAt(null, path, O.RDONLY);
  return readAll(file).toString(encoding);
}

/**
 * What /proc/PID/stat says behind the process's name, which stands in parentheses and may have any in it: the state and so on.
 * @returns undefined for a process that has ended
 * @see proc_pid_stat(5), from field 3 on
 */
export function statOfProcess(pid: number): string[] | undefined {
  const stat = unless(["ENOENT", "ESRCH"], () => readText(`/proc/${pid}/stat`, "latin1"));
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** Makes or replaces a file's content. @param mode of one that is new */
export function writeText(path: string, text: string, mode: number): void {
  using file = openAt(null, path, O.WRONLY | O.CREAT | O.TRUNC, { mode });
  writeAll(file, Buffer.from(text));
}

/** The names in a directory, in the order in which the file system has them; those that aren't UTF-8 aren't to be opened. */
export function namesIn(path: string): string[] {
  using directory = openAt(null, path, O.RDONLY | O.DIRECTORY);
  return namesAmong(entriesOf(directory));
}

/** The names in a directory, and of each its type as readdir(3) has it (DT_*): 0 where the file system doesn't say. */
export function typesOf(directory: Fd): Map<string, number> {
  const types = new Map<string, number>();
  const entries = entriesOf(directory);
  for (let at = 0; at < entries.length; at += sizeOf(entries, at))
    types.set(nameAt(entries, at), entries[at + 18] ?? 0);
  return types;
}

/**
 * A directory's entries as the kernel writes them (struct linux_dirent64), but for `.` and `..`; where they lie and which
 * inode they have is left out (0), so that of a directory which is as it was they are the same bytes.
 */
export function entriesOf(directory: Fd): Buffer {
  const parts: Buffer[] = [];
  for (let buffer = Buffer.alloc(8192); ; buffer = Buffer.alloc(32_768)) {
    const length = check("readdir", directory, getdents64_(directory.number, buffer, buffer.length));
    if (length === 0) return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
    const halves = new Float64Array(buffer.buffer, buffer.byteOffset, buffer.length / 8);
    let kept = 0;
    for (let at = 0, size = 0; at < length; at += size) {
      size = sizeOf(buffer, at);
      if (isDots(buffer, at + 19)) continue;
      halves.fill(0, at / 8, at / 8 + 2);
      if (kept !== at) buffer.copyWithin(kept, at, at + size);
      kept += size;
    }
    parts.push(buffer.subarray(0, kept));
  }
}

/** How long one entry is: a multiple of 8. */
function sizeOf(entries: Buffer, at: number): number {
  return (entries[at + 16] ?? 0) | ((entries[at + 17] ?? 0) << 8);
}

/** From its end, which the name is less than 8 zeros away from. */
function nameAt(entries: Buffer, at: number): string {
  let end = at + sizeOf(entries, at);
  while (entries[end - 1] === 0) end--;
  return entries.toString("utf8", at + 19, end);
}

function isDots(entries: Buffer, at: number): boolean {
  return entries[at] === 0x2e && (entries[at + 1] === 0 || (entries[at + 1] === 0x2e && entries[at + 2] === 0));
}

/** The names in entriesOf(). */
export function namesAmong(entries: Buffer): string[] {
  const names: string[] = [];
  for (let at = 0; at < entries.length; at += sizeOf(entries, at)) names.push(nameAt(entries, at));
  return names;
}

/**
 * What each of a directory's entries is, one after the other: 1 and these fields of struct statx, by its 32-bit halves, or 0 and
 * zeros where there is nothing.
 */
export function lookAtAll(
  directory: Fd,
  entries: Buffer,
  { fields, links }: { readonly fields: readonly number[]; readonly links: "followed" | "as they are" },
): Uint32Array {
  const flags = links === "followed" ? 0 : AT.SYMLINK_NOFOLLOW;
  const attributes = new Uint32Array(STATX_SIZE / 4);
  const bytes = new Uint8Array(attributes.buffer);
  const seen = new Uint32Array(namesCount(entries) * (fields.length + 1));
  // Names where the kernel wrote them, and ended each with a zero: to make hundreds of strings takes as long as to look.
  const placeOf = placesIn(entries);
  const to = placesIn(bytes)(0);
  for (let at = 0, next = 0; at < entries.length; at += sizeOf(entries, at), next += fields.length + 1) {
    const result = statx_(directory.number, placeOf(at + 19), flags, STATX_BASIC_STATS, to);
    if (result !== 0 && !isFound(nameAt(entries, at), result)) continue;
    seen[next] = 1;
    let place = next;
    for (const field of fields) seen[++place] = attributes[field] ?? 0;
  }
  return seen;
}

function namesCount(entries: Buffer): number {
  let count = 0;
  for (let at = 0; at < entries.length; at += sizeOf(entries, at)) count++;
  return count;
}

const missing: readonly string[] = ["ENOENT", "ENOTDIR", "ELOOP"];

function isFound(name: string, result: number): boolean {
  // No error is made of what may be missing: it takes 0.03 ms.
  if (result !== 0 && missing.includes(errnoName(lastErrno()))) return false;
  check("stat", name, result);
  return true;
}

/**
 * The attributes of what a name leads to, as the kernel writes them (struct statx): for who looks at hundreds.
 * @param name empty for `dir` itself
 * @returns false where there is nothing
 */
export function statInto(dir: Fd | null, name: string, attributes: Uint8Array): boolean {
  const flags = name === "" ? AT.EMPTY_PATH : 0;
  const result = statx_(dir === null ? AT.FDCWD : dir.number, cString(name), flags, STATX_BASIC_STATS, attributes);
  return isFound(name, result);
}
