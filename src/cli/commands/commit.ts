import { UserError } from "../../error.ts";
import { type CommitOptions, commitSession, ConflictError } from "../../session/commit/commit.ts";
import { isTerminal } from "../../session/terminal.ts";
import { SignalRelay } from "../../session/signals.ts";
import { command } from "../command.ts";
import { write } from "../print.ts";
import { warn } from "../warn.ts";
import {
  bothSides,
  changesJson,
  changeLines,
  conflictLine,
  countText,
  showConflicts,
  type ShownChange,
  shownChange,
  type ShownConflict,
} from "./commit-text.ts";
import { sessionId } from "./operands.ts";

interface CommitData {
  readonly commit: string | null;
  readonly session: string;
  readonly targets: readonly string[];
  readonly changes: readonly ShownChange[];
  readonly conflicts: readonly ShownConflict[];
}

export const commit = command({
  name: "commit",
  summary: "write what a session has changed to what lies below it",
  description: [
    "The changes go to the chroot's own directory, or to this machine's own root where the session is a view of that; all of them, or with PATHs those at and below these. It happens whole or not at all: killed at any instant, the next command finishes it or takes it back. `fallthru undo` takes it back later.",
    "The session stays as it is, and open; what was committed is then no change of it any more.",
    "What somebody else has changed since the session began is a conflict: both sides are shown, and nothing is written.",
  ],
  operands: {
    session: { arity: "one", completes: "session", summary: "@ID or ID" },
    path: { arity: "any", summary: "a path in the session: only what was changed at it and below it" },
  },
  options: {
    interactive: { type: "boolean", short: "i", summary: "ask about each change, on a terminal" },
    dryRun: { type: "boolean", summary: "print what would be written, conflicts too, and do nothing" },
    to: {
      type: "string",
      placeholder: "CHROOT|DIR",
      completes: "directory",
      summary: "write to another chroot's directory, or to DIR (with a slash in it)",
    },
    force: { type: "boolean", short: "f", summary: "where others have changed something too, take the session's side" },
  },
  examples: [
    { line: "fallthru commit @fix", does: "everything" },
    { line: "fallthru commit @fix /etc/nginx /usr/local", does: "only what was changed there" },
    { line: "fallthru commit @fix --interactive", does: "ask about each change" },
    { line: "fallthru commit @fix --to ./staging --dry-run", does: "what would be done to another directory" },
  ],
  exits: {
    3: "no such session, or nothing was changed at a PATH",
    4: "a process of the session is in the way: it is named",
    7: "the session's root was made for it alone",
    11: "somebody else has changed what would be overwritten: nothing was written",
  },
  json: [
    { name: "commit", type: "string|null", summary: "what undo and log know it by; null where nothing was written" },
    { name: "session", type: "string", summary: "the session's id" },
    { name: "targets", type: "string[]", summary: "the directories that were changed" },
    ...changesJson("changes"),
    { name: "conflicts", type: "object[]", summary: "with --dry-run or --force: what others have changed too" },
    { name: "conflicts[].path", type: "string", summary: "where, quoted as git quotes paths" },
    { name: "conflicts[].reason", type: "string", summary: "`changed`, `appeared`, `vanished` or `in the way`" },
    { name: "conflicts[].ours", type: "string", summary: "what the session has there" },
    { name: "conflicts[].theirs", type: "string", summary: "what is there" },
  ],
  run: async ({ session, path }, { interactive, dryRun, to, force }, common) => {
    if (interactive && !(isTerminal(0) && isTerminal(2)))
      throw new UserError("usage", "--interactive needs a terminal", { hint: "name the PATHs to commit instead" });
    using signals = new SignalRelay();
    const choose = interactive ? (await import("./commit-ask.ts")).chooseChanges : undefined;
    const options: CommitOptions = {
      ...(path.length === 0 ? {} : { paths: path }),
      ...(to === undefined ? {} : { to }),
      ...(choose === undefined ? {} : { choose: (changes, trees) => choose(changes, trees, signals) }),
      force,
      dryRun,
    };
    try {
      const result = await commitSession(sessionId(session), options);
      const interrupted = await signals.early();
      warn(result.warnings, common);
      const data: CommitData = {
        commit: result.commit ?? null,
        session: result.session,
        targets: result.targets,
        changes: result.changes.map(shownChange),
        conflicts: result.conflicts.map(bothSides),
      };
      return { data, ...(interrupted === undefined ? {} : { status: interrupted }) };
    } catch (error) {
      if (error instanceof ConflictError && !common.json) write(2, showConflicts(error.conflicts));
      throw error;
    }
  },
  text: ({ commit: id, changes, conflicts, targets }, { quiet }) => {
    if (id === null) return changeLines(changes) + conflicts.map(conflictLine).join("");
    return quiet ? "" : `commit ${id}: ${countText(changes.length)} to ${targets.join(", ")}\n`;
  },
});
