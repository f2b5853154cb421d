import { UserError } from "../error.ts";
import { isTerminal } from "../session/terminal.ts";
import { statusOf } from "./exit.ts";
import { visible, write } from "./print.ts";

/** An error as people and programs see it. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  readonly status: number;
  /** Of an error that nobody expected. */
  readonly stack?: string;
}

/**
 * Says on stderr what went wrong: `fallthru: MESSAGE` and `hint: HINT`, one line each; with `json` one line
 * `{"error":{"code","message","hint"}}` instead, so that stdout holds data or nothing.
 * @returns the exit status
 */
export function report(error: unknown, options: { json: boolean; verbose: boolean }): number {
  const failure = describe(error);
  const { code, message, hint } = failure;
  if (options.json) say(`${JSON.stringify({ error: { code, message, hint } })}\n`);
  else {
    const [bold, dim, plain] = hasColour() ? ["\u001b[1;31m", "\u001b[2m", "\u001b[0m"] : ["", "", ""];
    let text = `${bold}fallthru:${plain} ${visible(message)}\n`;
    if (options.verbose)
      text += causes(error)
        .map((cause) => `${dim}because:${plain} ${visible(cause)}\n`)
        .join("");
    if (hint !== undefined) text += `${dim}hint:${plain} ${visible(hint)}\n`;
    say(text);
  }
  if (failure.stack !== undefined && debugs()) say(`${failure.stack}\n`);
  return failure.status;
}

export function describe(error: unknown): Failure {
  if (error instanceof UserError) {
    const { code, message, hint } = error;
    return { code, message, ...(hint === undefined ? {} : { hint }), status: statusOf[code] };
  }
  const refused = error instanceof Error ? systemError(error) : undefined;
  if (refused !== undefined) return refused;
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const stack = error instanceof Error && error.stack !== undefined ? error.stack : message;
  const hint = debugs() ? "this is a bug in Fallthru" : "this is a bug in Fallthru; FALLTHRU_DEBUG=1 shows where";
  return { code: "bug", message, hint, stack, status: statusOf.failed };
}

/** A system call that was refused: KernelError, or node:fs's own error, which is put into the same words. */
function systemError(error: Error): Failure | undefined {
  const { syscall, path, code, errno, hint } = error as Error & Record<string, unknown>;
  if (typeof syscall !== "string") return undefined;
  const name = typeof code === "string" ? code : typeof errno === "string" ? errno : "";
  const isOurs = error.name === "KernelError";
  const reason = /^[A-Z0-9]+: ([^,]*)/.exec(error.message)?.[1] ?? "refused";
  const place = typeof path === "string" ? ` ${path}` : "";
  const message = isOurs ? error.message : `${syscall}${place}: ${reason} (${name})`;
  const isFull = name === "ENOSPC" || name === "EDQUOT";
  const advice = typeof hint === "string" ? hint : needsSuperuser(name) ? "run it as root: sudo fallthru …" : undefined;
  const failure = {
    code: isFull ? "no-space" : "failed",
    message,
    status: isFull ? statusOf["no-space"] : statusOf.failed,
  } as const;
  return advice === undefined ? failure : { ...failure, hint: advice };
}

function needsSuperuser(errno: string): boolean {
  return (errno === "EPERM" || errno === "EACCES") && process.geteuid?.() !== 0;
}

function causes(error: unknown): string[] {
  const messages: string[] = [];
  for (let cause = error; cause instanceof Error && messages.length < 5; cause = cause.cause)
    messages.push(cause.message);
  return messages.slice(1);
}

function debugs(): boolean {
  return (process.env["FALLTHRU_DEBUG"] ?? "") !== "";
}

/** Colour belongs on a terminal that knows it, for people who don't mind: https://no-color.org */
function hasColour(): boolean {
  const { NO_COLOR, TERM } = process.env;
  return (NO_COLOR ?? "") === "" && TERM !== undefined && TERM !== "dumb" && isTerminal(2);
}

/** To stderr; where that is closed or full there is nobody left to tell. */
function say(text: string): void {
  try {
    write(2, text);
  } catch {
    // see above
  }
}
