import { UserError } from "../../error.ts";
import { runOnce } from "../../session/once.ts";
import { hostName } from "../../session/source.ts";
import { isTerminal } from "../../session/terminal.ts";
import type { CommandOptions } from "../../session/types.ts";
import type { Common } from "../command.ts";
import { warn } from "../warn.ts";
import type { OnExit } from "./on-exit.ts";
import type { Source } from "./operands.ts";
import type { SessionOptionValues } from "./session-options.ts";
import { sessionOptions } from "./session-values.ts";

/** Runs in a session that is begun for it and ended with it. @returns the command's exit status */
export async function runNew(
  { name, session }: Extract<Source, { kind: "chroot" }>,
  given: SessionOptionValues,
  options: CommandOptions,
  common: Common & { readonly onExit: string | undefined },
): Promise<number> {
  const how = onExitOf(common, session?.source === true);
  const onFinished = how === undefined ? undefined : (await import("./on-exit.ts")).decider(how);
  try {
    return await runOnce(name, { ...sessionOptions(given), ...session }, options, {
      onBegun: ({ warnings }) => warn(warnings, common),
      onFinished,
      onKept: (id, warnings) => warn([...warnings, `kept as @${id}: fallthru run @${id}, fallthru end @${id}`], common),
    });
  } catch (error) {
    if (!(error instanceof UserError) || error.code !== "not-found" || (await isChroot(name))) throw error;
    if ((await import("../../session/names.ts")).sessionIds().includes(name)) {
      const { code, message } = error;
      throw new UserError(code, message, { hint: `${name} is a session: fallthru run @${name}`, cause: error.cause });
    }
    if (options.command.length > 0) throw error;
    const hint = [error.hint, `to run the command ${name}: fallthru run -- ${name}`].filter(
      (each) => each !== undefined,
    );
    throw new UserError(error.code, error.message, { hint: hint.join("; "), cause: error.cause });
  }
}

/** @returns undefined where what was changed is just discarded. @throws {UserError} usage */
function onExitOf(
  { onExit, quiet }: Common & { readonly onExit: string | undefined },
  isSource: boolean,
): OnExit | undefined {
  if (onExit === undefined) return isSource || quiet || ![0, 1, 2].every(isTerminal) ? undefined : "ask";
  if (onExit === "discard") return undefined;
  if (isSource) {
    throw new UserError("usage", `--on-exit=${onExit}: what is done in source:CHROOT changes the chroot itself`, {
      hint: "leave source: out, and the changes can be looked at first",
    });
  }
  if (onExit === "ask" && !(isTerminal(0) && isTerminal(2)))
    throw new UserError("usage", "--on-exit=ask needs a terminal", { hint: "--on-exit=keep, and then fallthru diff" });
  return onExit as OnExit;
}

/** The line that was meant by `run bookworm make -j4`, where the `--` is missing. */
export async function withDashes([source = "", ...words]: readonly string[]): Promise<string> {
  if (source.startsWith("@") || (await isChroot(source))) return `fallthru run ${source} -- ${words.join(" ")}`;
  return `fallthru run -- ${[source, ...words].join(" ")}`;
}

/** Loads what reads descriptions only for an error: where they are known, a session does without. */
async function isChroot(name: string): Promise<boolean> {
  if (name === hostName) return true;
  const { findChroot } = await import("../../chroot/config.ts");
  try {
    findChroot(name);
    return true;
  } catch (error) {
    return !(error instanceof UserError && error.code === "not-found");
  }
}
