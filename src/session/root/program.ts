import { type ErrorCode, UserError } from "../../error.ts";
import { isErrno } from "../../kernel/error.ts";
import { superuserPath } from "../../places.ts";
import type { RootPlace } from "./keeper.ts";

/** What a program said, and how it ended. */
export interface Ended {
  readonly status: number | null;
  readonly output: string;
  /** The first line of its complaints. */
  readonly reason: string;
}

/**
 * Runs a program to its end for a session, whose hold it shares: see RootPlace.
 * @param packageName the Debian package that has it
 * @throws {UserError} unsupported: it isn't here
 */
export function runProgram(place: RootPlace, argv: readonly [string, ...string[]], packageName: string): Ended {
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const [program, ...args] = argv;
  const result = spawnSync(program, args, {
    stdio: ["ignore", "pipe", "pipe", place.hold.number],
    // lvm(8) would otherwise complain about the descriptor.
    env: { PATH: process.env["PATH"] ?? superuserPath, LC_ALL: "C", LVM_SUPPRESS_FD_WARNINGS: "1" },
    encoding: "utf8",
  });
  if (result.error !== undefined) {
    const isMissing = isErrno(result.error, "ENOENT");
    const code: ErrorCode = isMissing ? "unsupported" : "failed";
    const hint = isMissing ? `apt install ${packageName}` : undefined;
    const what = isMissing ? "is not installed" : "can't be run";
    throw new UserError(code, `the program ${program} ${what}`, { hint, cause: result.error });
  }
  const [reason = `ended with ${result.status ?? result.signal}`] = nonEmptyLines(result.stderr);
  return { status: result.status, output: result.stdout, reason };
}

/** As runProgram(), for what must succeed. @returns its output */
export function requireProgram(place: RootPlace, argv: readonly [string, ...string[]], packageName: string): string {
  const { status, output, reason } = runProgram(place, argv, packageName);
  if (status === 0) return output.trim();
  throw new UserError("failed", `${argv.join(" ")}: ${reason}`);
}

function nonEmptyLines(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}
