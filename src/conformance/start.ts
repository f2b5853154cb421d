import { resolve } from "node:path";
import { isCompiled } from "../kernel/libc.ts";

/** This program, as it was started: one file, or its source. */
export function ownCommand(...args: readonly string[]): string[] {
  return isCompiled()
    ? [process.execPath, ...args]
    : [process.execPath, resolve(import.meta.dirname, "../cli/main.ts"), ...args];
}
