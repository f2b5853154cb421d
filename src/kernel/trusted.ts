import type fs from "node:fs";
import { AT, O, STATX_BASIC_STATS } from "./abi/file.ts";
import { check, unless } from "./error.ts";
import type { Fd } from "./fd.ts";
import { openAt, readAll, writeAll } from "./file.ts";
import { cString, quick, withoutErrno } from "./libc.ts";

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

/** Makes or replaces a file's content. @param mode of one that is new */
export function writeText(path: string, text: string, mode: number): void {
  using file = openAt(null, path, O.WRONLY | O.CREAT | O.TRUNC, { mode });
  writeAll(file, Buffer.from(text));
}

/** The names in a directory, in the order in which the file system has them; those that aren't UTF-8 aren't to be opened. */
export function namesIn(path: string): string[] {
  using directory = openAt(null, path, O.RDONLY | O.DIRECTORY);
  return namesOf(directory);
}

/** As namesIn(), of an open directory. */
export function namesOf(directory: Fd): string[] {
  return [...typesOf(directory).keys()];
}

/** The names in a directory, and of each its type as readdir(3) has it (DT_*): 0 where the file system doesn't say. */
export function typesOf(directory: Fd): Map<string, number> {
  const types = new Map<string, number>();
  const buffer = Buffer.alloc(8192);
  for (;;) {
    const length = check("readdir", directory, getdents64_(directory.number, buffer, buffer.length));
    if (length === 0) return types;
    for (let at = 0; at < length; at += (buffer[at + 16] ?? 0) | ((buffer[at + 17] ?? 0) << 8)) {
      const name = buffer.toString("utf8", at + 19, buffer.indexOf(0, at + 19));
      if (name !== "." && name !== "..") types.set(name, buffer[at + 18] ?? 0);
    }
  }
}

/**
 * The attributes of what a name leads to, as the kernel writes them (struct statx): for who looks at hundreds.
 * @param name empty for `dir` itself
 * @returns false where there is nothing
 */
export function statInto(dir: Fd | null, name: string, attributes: Uint8Array): boolean {
  const flags = name === "" ? AT.EMPTY_PATH : 0;
  const result = statx_(dir === null ? AT.FDCWD : dir.number, cString(name), flags, STATX_BASIC_STATS, attributes);
  return result === 0 || unless(["ENOENT", "ENOTDIR", "ELOOP"], () => check("stat", name, result)) !== undefined;
}
