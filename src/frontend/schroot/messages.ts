import { type Problem, problemLine } from "../../chroot/problem.ts";
import { UserError } from "../../error.ts";
import type { Caller } from "./caller.ts";

/** What schroot says besides its results: a letter in front of each line, all on standard error. */
export type Level = "E" | "W" | "I";

/** One message, as one line: names come from hostile places, and a terminal obeys what it is shown. */
export function tell(caller: Caller, level: Level, message: string): void {
  caller.say(2, `${level}: ${oneLine(message)}\n`);
}

/** What is odd in a file of the configuration and yet used, or why it isn't; with the way out. */
export function tellProblems(caller: Caller, problems: readonly Problem[]): void {
  for (const problem of problems) tell(caller, "W", problemLine(problem));
}

/**
 * An error in schroot's own words, with its lines of advice. Its code is for programs of ours: schroot's exit status
 * is 1 whatever it was.
 */
export function refusal(message: string, ...advice: readonly string[]): UserError {
  return new UserError("failed", message, advice.length === 0 ? {} : { hint: advice.join("\n") });
}

/** The same for a wrong command line. */
export function usageError(message: string): UserError {
  return refusal(message, "Run “schroot --help” to list usage example and all available options");
}

/** `E:` for the error and `I:` for each line of its advice. */
export function tellError(caller: Caller, error: unknown): void {
  const { message, hint } = wordsOf(error);
  tell(caller, "E", message);
  for (const line of hint === undefined ? [] : hint.split("\n")) tell(caller, "I", line);
}

function wordsOf(error: unknown): { message: string; hint?: string | undefined } {
  if (error instanceof UserError) return error;
  if (!(error instanceof Error)) return { message: String(error) };
  // A system call that was refused carries its own way out; anything else that nobody expected is a bug of ours.
  const isSystem = "syscall" in error;
  const hint = "hint" in error && typeof error.hint === "string" ? error.hint : undefined;
  if (isSystem) return { message: error.message, hint };
  return { message: `${error.name}: ${error.message}`, hint: "this is a bug in Fallthru" };
}

function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  const control = /[\u0000-\u001f\u007f-\u009f]/g;
  return text.replace(control, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
