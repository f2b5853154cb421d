import type fs from "node:fs";
import { AT, O } from "./abi/file.ts";
import { openAt, readAll, readDirectory, writeAll } from "./file.ts";
import { cString, withoutErrno } from "./libc.ts";

/**
 * Files by their path, for places that only the superuser can change: as node:fs has it, which costs a start 1.2 ms.
 * For what is rarely done there is that itself.
 */

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
  const names: string[] = [];
  for (const { name } of readDirectory(directory)) names.push(name.toString("utf8"));
  return names;
}
