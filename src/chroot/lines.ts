import type { UserError } from "../error.ts";
import { problemError } from "./problem.ts";

/** A line of a profile's file, split at white space. */
export interface DataLine {
  readonly fields: readonly string[];
  readonly line: number;
}

/**
 * The lines that say something: not the empty ones, and not those that a `#` begins.
 * @throws {UserError} config, where a line isn't UTF-8: its paths couldn't be those that were meant
 */
export function dataLines(text: string, file: string): DataLine[] {
  const lines: DataLine[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.startsWith("#")) continue;
    const fields = splitFields(line);
    if (fields.length === 0 || fields[0]?.startsWith("#") === true) continue;
    if (line.includes("\0") || line.includes("\uFFFD")) throw badLine(file, index + 1, "is not UTF-8 text");
    lines.push({ fields, line: index + 1 });
  }
  return lines;
}

/** At white space, by hand: each regular expression costs a start 0.06 ms, and most begin with none of these files' kind. */
function splitFields(line: string): string[] {
  const fields: string[] = [];
  let start = -1;
  for (let at = 0; at <= line.length; at++) {
    const code = at === line.length ? space : line.charCodeAt(at);
    if (code > 0x7f) return line.split(/\s+/).filter((field) => field !== "");
    const isSpace = code === space || (code >= 9 && code <= 13);
    if (!isSpace && start < 0) start = at;
    if (isSpace && start >= 0) {
      fields.push(line.slice(start, at));
      start = -1;
    }
  }
  return fields;
}

const space = 0x20;

export function badLine(file: string, line: number, message: string, hint?: string): UserError {
  return problemError({ file, line, message, hint });
}
