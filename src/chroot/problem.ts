import { UserError } from "../error.ts";

/** Something wrong in a configuration file: where, what, and where it helps the way out. */
export interface Problem {
  readonly file: string;
  /** From 1; 0 where the file as a whole is meant. */
  readonly line: number;
  readonly message: string;
  readonly hint?: string | undefined;
}

/** `FILE:LINE: message`, as compilers write it, so that editors can jump there. */
export function problemText(problem: Problem): string {
  const where = problem.line === 0 ? problem.file : `${problem.file}:${problem.line}`;
  return `${where}: ${problem.message}`;
}

/** With the way out, on one line. */
export function problemLine(problem: Problem): string {
  return joinHints([problemText(problem), problem.hint]) ?? "";
}

/** The first problem as an error; its hint counts the others, so that nobody thinks one repair is enough. */
export function problemError(problem: Problem, others = 0): UserError {
  const more = others === 0 ? undefined : `${others} more in this chroot; \`fallthru chroot list\` shows each`;
  return new UserError("config", problemText(problem), { hint: joinHints([problem.hint, more]) });
}

/** Those hints that there are, on one line. */
export function joinHints(hints: readonly (string | undefined)[]): string | undefined {
  const line = hints.filter((hint) => hint !== undefined).join("; ");
  return line === "" ? undefined : line.replaceAll("?; ", "? ");
}
