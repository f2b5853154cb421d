import { findChroot } from "../../chroot/config.ts";
import { UserError } from "../../error.ts";
import { runOnce } from "../../session/once.ts";
import { sessionIds } from "../../session/names.ts";
import { hostName } from "../../session/source.ts";
import type { CommandOptions } from "../../session/types.ts";
import type { Common } from "../command.ts";
import { warn } from "../warn.ts";
import type { Source } from "./operands.ts";
import type { SessionOptionValues } from "./session-options.ts";
import { sessionOptions } from "./session-values.ts";

/** Runs in a session that is begun for it and ended with it. @returns the command's exit status */
export async function runNew(
  { name, session }: Extract<Source, { kind: "chroot" }>,
  given: SessionOptionValues,
  options: CommandOptions,
  common: Common,
): Promise<number> {
  try {
    return await runOnce(name, { ...sessionOptions(given), ...session }, options, ({ warnings }) =>
      warn(warnings, common),
    );
  } catch (error) {
    if (isSessionMeant(error, name)) {
      const { code, message } = error;
      throw new UserError(code, message, { hint: `${name} is a session: fallthru run @${name}`, cause: error.cause });
    }
    const isCommand = error instanceof UserError && error.code === "not-found" && !isChroot(name);
    if (!isCommand || options.command.length > 0) throw error;
    const hint = [error.hint, `to run the command ${name}: fallthru run -- ${name}`].filter(
      (each) => each !== undefined,
    );
    throw new UserError(error.code, error.message, { hint: hint.join("; "), cause: error.cause });
  }
}

function isSessionMeant(error: unknown, name: string): error is UserError {
  return error instanceof UserError && error.code === "not-found" && !isChroot(name) && sessionIds().includes(name);
}

/** The line that was meant by `run bookworm make -j4`, where the `--` is missing. */
export function withDashes([source = "", ...words]: readonly string[]): string {
  if (source.startsWith("@") || isChroot(source)) return `fallthru run ${source} -- ${words.join(" ")}`;
  return `fallthru run -- ${[source, ...words].join(" ")}`;
}

function isChroot(name: string): boolean {
  if (name === hostName) return true;
  try {
    findChroot(name);
    return true;
  } catch (error) {
    return !(error instanceof UserError && error.code === "not-found");
  }
}
