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
  const lines = text
    .split("\n")
    .map((line, index) => ({ fields: line.split(/\s+/).filter((field) => field !== ""), line: index + 1 }))
    .filter(({ fields }) => fields[0]?.startsWith("#") === false);
  const broken = lines.find(({ fields }) => fields.some((field) => /[\0\uFFFD]/.test(field)));
  if (broken !== undefined) throw badLine(file, broken.line, "is not UTF-8 text");
  return lines;
}

export function badLine(file: string, line: number, message: string, hint?: string): UserError {
  return problemError({ file, line, message, hint });
}
