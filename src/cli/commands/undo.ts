import { undoCommit } from "../../session/commit/undo.ts";
import { uninterrupted } from "../../session/signals.ts";
import { command } from "../command.ts";
import { warn } from "../warn.ts";
import { changesJson, countText, shownChange } from "./commit-text.ts";

export const undo = command({
  name: "undo",
  summary: "take a commit back",
  description: [
    "Puts back what the commit has replaced, as it was: contents, modes, owners, times, extended attributes, ACLs, capabilities, hard links. All of it or nothing: where something that the commit has written was changed since, it is refused. Killed at any instant, the next command finishes it.",
    "The session isn't changed: what was committed is a change of it again.",
  ],
  operands: {
    commit: {
      arity: "optional",
      summary: "the commit's id, or its beginning; without it the last one that isn't undone",
    },
  },
  options: {
    force: {
      type: "boolean",
      short: "f",
      summary: "though other sessions may then miss what is in a directory that the commit has renamed",
    },
  },
  examples: [
    { line: "fallthru undo", does: "the last commit" },
    { line: "fallthru undo 4f1d", does: "that one: see fallthru log" },
  ],
  exits: {
    3: "no such commit",
    4: "it has renamed directories, and a process of the session, or another session over them, is in the way",
    5: "it is undone already",
    7: "it has renamed directories, and its session was forked since",
    11: "something of it was changed since: nothing was undone",
  },
  json: [
    { name: "commit", type: "string", summary: "the commit that was undone" },
    { name: "session", type: "string", summary: "the session that it came from" },
    { name: "targets", type: "string[]", summary: "the directories that were changed" },
    ...changesJson("changes"),
  ],
  run: async ({ commit }, { force }, common) => {
    const { result, interrupted } = await uninterrupted(() => undoCommit(commit, { force }));
    const { warnings, changes, ...rest } = result;
    warn(warnings, common);
    const data = { ...rest, changes: changes.map(shownChange) };
    return { data, ...(interrupted === undefined ? {} : { status: interrupted }) };
  },
  text: ({ commit, changes, targets }, { quiet }) =>
    quiet ? "" : `undone ${commit}: ${countText(changes.length)} to ${targets.join(", ")}\n`,
});
