import { UserError } from "../../error.ts";
import { exitNow, runInSession } from "../../session/run.ts";
import type { CommandOptions } from "../../session/types.ts";
import { command, type OptionSpec, type OptionsOf, optionName } from "../command.ts";
import { parseSource } from "./operands.ts";
import { givenSessionOption, sessionOptionSpecs } from "./session-options.ts";

const commandOptionSpecs = {
  user: {
    type: "string",
    short: "u",
    placeholder: "NAME|UID[:GID]",
    completes: "user",
    summary: "who runs it, by the session's own passwd and group",
  },
  directory: {
    type: "string",
    short: "d",
    placeholder: "DIR",
    summary: "where it starts, inside; else here if that exists inside, else at home",
  },
  env: { type: "strings", short: "e", placeholder: "NAME=VALUE", summary: "set a variable of its environment" },
  preserveEnvironment: {
    type: "boolean",
    short: "p",
    summary: "keep the environment (as is done on the host's root anyway)",
  },
  pidNamespace: { type: "boolean", summary: "show it no processes but its own" },
} as const satisfies Readonly<Record<string, OptionSpec>>;

export const run = command({
  name: "run",
  summary: "run a command, or a shell, in a throw-away view of a root",
  description: [
    "Runs COMMAND in a private, copy-on-write view of the chroot SOURCE, or of this machine's own root where no SOURCE is given: what the command does to files is gone afterwards. Where SOURCE is @ID the command joins the session ID, which stays as it is left. Without a command the user's shell is started.",
    "Everything behind -- reaches the command as it is. Standard input, output and error are the command's; so are signals, job control and the exit status.",
    "On a terminal, where a command or shell has changed something in a session of its own, what that was is shown, and then asked: keep the session, commit the changes to what lies below, or discard them. --on-exit says it before: commit writes them only if the command has succeeded, and else keeps the session; --quiet asks nothing.",
    "A chroot is no sandbox against its superuser, and the directories that --bind shows are the real ones.",
  ],
  operands: {
    source: {
      arity: "optional",
      completes: "source",
      summary:
        "a chroot, or @ID for a session; without it this machine's own root (host); source:CHROOT changes the chroot itself",
    },
    command: { arity: "command", summary: "what to run, with its arguments, verbatim; without it the user's shell" },
  },
  options: {
    ...commandOptionSpecs,
    ...sessionOptionSpecs,
    onExit: {
      type: "string",
      placeholder: "ask|discard|keep|commit",
      completes: ["ask", "discard", "keep", "commit"],
      summary: "what becomes of the changes; asked on a terminal, else discarded",
    },
    dryRun: { type: "boolean", summary: "print what would be mounted, and do nothing" },
  },
  examples: [
    { line: "fallthru run -- apt-get install -y cowsay", does: "on a throw-away view of this machine's own root" },
    { line: "fallthru run bookworm", does: "a shell in a throw-away copy of the chroot bookworm" },
    { line: "fallthru run --on-exit=commit -- make install", does: "what it installs stays, if it succeeds" },
    { line: "fallthru run @fix -- make check", does: "in the session fix, which stays" },
    {
      line: "fallthru run bookworm --user build --bind $PWD:/src -d /src --network none -- make",
      does: "as the user build, on a real directory, without a network",
    },
  ],
  exits: {
    125: "Fallthru itself failed: a wrong command line, no such chroot, and so on",
    126: "the command was found but couldn't be executed",
    127: "the command wasn't found",
    "128+N": "the command was ended by signal N",
    N: "anything else is the command's own status",
  },
  failureStatus: 125,
  json: [
    {
      name: "plan",
      type: "string[]",
      summary: "with --dry-run: what would be done, in order; without it stdout is the command's alone",
    },
  ],
  surplusHint: async (words) => (await import("./run-once.ts")).withDashes(words),
  run: async ({ source: word, command: words }, options, common) => {
    const source = parseSource(word);
    if (source.kind === "session") {
      checkFixed(source.id, options);
      return exitNow(await runInSession(source.id, commandOptions(words, options)));
    }
    if (options.dryRun) {
      const [{ planSession }, { sessionOptions }] = await Promise.all([
        import("../../session/plan.ts"),
        import("./session-values.ts"),
      ]);
      const plan = await planSession(source.name, { ...sessionOptions(options), ...source.session });
      return { data: { plan: plan.map(({ describe }) => describe) } };
    }
    const { runNew } = await import("./run-once.ts");
    return exitNow(
      await runNew(source, options, commandOptions(words, options), { ...common, onExit: options.onExit }),
    );
  },
  text: ({ plan }) => plan.map((line) => `${line}\n`).join(""),
});

function commandOptions(words: readonly string[], given: OptionsOf<typeof commandOptionSpecs>): CommandOptions {
  return {
    command: words,
    ...(given.user === undefined ? {} : { user: given.user }),
    ...(given.directory === undefined ? {} : { directory: given.directory }),
    ...(given.env.length === 0 ? {} : { env: Object.fromEntries(given.env.map(parseVariable)) }),
    ...(given.preserveEnvironment ? { preserveEnvironment: true } : {}),
    ...(given.pidNamespace ? { pidNamespace: true } : {}),
  };
}

function parseVariable(text: string): [string, string] {
  const equals = text.indexOf("=");
  if (equals < 1) throw new UserError("usage", `--env: no NAME=VALUE: ${text}`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}

function checkFixed(
  id: string,
  options: Parameters<typeof givenSessionOption>[0] & { readonly dryRun: boolean; readonly onExit: string | undefined },
): void {
  const option = options.dryRun ? "dryRun" : options.onExit === undefined ? givenSessionOption(options) : "onExit";
  if (option === undefined) return;
  const hint = "give it to fallthru begin, or run in a chroot instead of a session";
  throw new UserError("usage", `--${optionName(option)} can't be given to @${id}: it has begun already`, { hint });
}
