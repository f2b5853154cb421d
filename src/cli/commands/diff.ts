import { UserError } from "../../error.ts";
import { diffSession, type SessionDiff, type ShownChange } from "../../session/changes/diff.ts";
import type { PackageChange } from "../../session/changes/packages.ts";
import { isTerminal } from "../../session/terminal.ts";
import { command, type Result } from "../command.ts";
import { listText, nameStatusText, patchText, statText } from "./diff-text.ts";
import { diffJson } from "./diff-json.ts";
import { sessionId } from "./operands.ts";

/** What --json prints, or the text for people, which is made while the session's two sides are open. */
type Diffed =
  | {
      readonly id: string;
      readonly changes: readonly ShownChange[];
      readonly packages: readonly PackageChange[];
      readonly timesOnly: number;
    }
  | { readonly output: string | Buffer };

export const diff = command({
  name: "diff",
  summary: "show what a session has changed",
  description: [
    "Compares what a session shows with what is below it, and lists what was added (A), modified (M: its content, mode, owner, time or extended attributes, or that names are one file), deleted (D), renamed (R), or is of another type now (T). Nothing has to be stopped for it. The time that it takes depends on the changes, not on the size of the root.",
    "Of a Debian root it also says which packages were installed, removed or upgraded. What runs later without anybody's asking for it is marked: cron jobs, systemd units, setuid files, start-up files of shells, git hooks, authorized keys and the like.",
    "What begin itself wrote (the profile's files, mount points) is no change until it is changed again. Directories in which only the times differ, because something in them came or went, are left out without --times, but in --json they are counted. A path that isn't plain text is in double quotes, as git quotes it.",
    "--patch prints what git apply and patch -p1 take, at the root's top directory. Owners, times, attributes, modes other than git's, devices and binary files can't be in a patch: they are named in lines that begin with #. On a terminal control characters are shown as \\xNN.",
  ],
  operands: {
    session: { arity: "one", completes: "session", summary: "@ID or ID" },
    path: { arity: "any", summary: "only what is there or below, in the session" },
  },
  options: {
    stat: { type: "boolean", summary: "say how many lines were added and removed" },
    nameStatus: { type: "boolean", summary: "print a letter and the path, with tabs between, and nothing else" },
    patch: { type: "boolean", short: "p", summary: "print a patch for git apply or patch -p1" },
    exitCode: { type: "boolean", summary: "end with status 1 where something was changed, as diff(1) does" },
    nul: { type: "boolean", short: "z", summary: "as --name-status, but each word ends with NUL and none is quoted" },
    times: { type: "boolean", summary: "also list directories in which only the times differ" },
  },
  examples: [
    { line: "fallthru diff @fix", does: "what the session fix has changed" },
    { line: "fallthru diff @fix --stat -- /etc", does: "how much, below /etc" },
    { line: "fallthru diff @fix --patch > fix.patch", does: "a patch for `git apply` or `patch -p1`" },
    { line: "fallthru diff @fix --exit-code --quiet || echo changed", does: "only whether it has changed anything" },
  ],
  exits: { 0: "done; with --exit-code: nothing was changed", 1: "with --exit-code: something was", 2: "trouble" },
  failureStatus: 2,
  json: diffJson,
  run: ({ session, path }, { stat, nameStatus, patch, exitCode, nul, times }, { json, quiet }): Result<Diffed> => {
    const kinds = Object.entries({ stat, nameStatus: nameStatus || nul, patch }).filter(([, isAsked]) => isAsked);
    if (kinds.length > 1 || (json && kinds.length > 0))
      throw new UserError("usage", "only one of --stat, --name-status (-z), --patch and --json can be had at a time");
    const id = sessionId(session);
    const isBrief = nameStatus || nul || (kinds.length === 0 && quiet && exitCode && !json);
    return diffSession(id, { paths: path, times, detail: isBrief ? "kinds" : "all" }, (found) => {
      const status = exitCode && found.count > 0 ? 1 : 0;
      if (kinds.length === 0 && quiet && exitCode && !json) return { status };
      if (!json) return { data: { output: render(found, { stat, nameStatus, patch, nul, quiet }) }, status };
      const { changes, packages, timesOnly } = found;
      return { data: { id, changes, packages, timesOnly }, status };
    });
  },
  text: (data) => ("output" in data ? data.output : ""),
});

interface Asked {
  readonly stat: boolean;
  readonly nameStatus: boolean;
  readonly patch: boolean;
  readonly nul: boolean;
  readonly quiet: boolean;
}

function render(found: SessionDiff, { stat, nameStatus, patch, nul, quiet }: Asked): string | Buffer {
  if (patch) return patchText(found.patches(), isTerminal(1) ? "terminal" : "file");
  if (nul || nameStatus) return nameStatusText(found, nul ? "nul" : "quoted");
  if (stat) return statText(found);
  const { packages, timesOnly } = found;
  return listText({ changes: found.oneByOne(), packages, timesOnly }, quiet);
}
