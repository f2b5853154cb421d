import { discardChanges } from "../../session/changes/discard.ts";
import type { ShownChange } from "../../session/changes/diff.ts";
import { command } from "../command.ts";
import { changeLine } from "./diff-text.ts";
import { changeJson } from "./diff-json.ts";
import { sessionId } from "./operands.ts";

interface Discarded {
  readonly id: string;
  readonly discarded: readonly ShownChange[];
}

export const discard = command({
  name: "discard",
  summary: "take changes of a session back, and keep the session",
  description: [
    "What was changed at the paths and below them is again as it is below the session's changes: what was added goes, what was deleted comes back, what was modified or renamed is as it was. Processes may run in the session: they see it at once, and what they hold open stays what it is. Nobody can enter meanwhile.",
    "It is done in the session, as somebody in it would. What comes back is a copy (sharing its blocks where the file system can), so that names which were one file before are several, and the space that the changes take may grow.",
  ],
  operands: {
    session: { arity: "one", completes: "session", summary: "@ID or ID" },
    path: { arity: "many", summary: "a path in the session: what was changed there or below; / is everything" },
  },
  options: { dryRun: { type: "boolean", summary: "say what would be taken back, and do nothing" } },
  examples: [
    { line: "fallthru discard @fix /etc/hosts", does: "one file as it was" },
    { line: "fallthru discard @fix --dry-run /usr /var", does: "what would be taken back there" },
  ],
  exits: {
    3: "no such session, or nothing was changed at a path",
    5: "something has taken a name that is to come back",
  },
  json: [
    { name: "id", type: "string", summary: "the session's id" },
    ...changeJson("discarded", "what was taken back, as `diff` has it"),
  ],
  run: ({ session, path }, { dryRun }) => {
    const id = sessionId(session);
    const data: Discarded = { id, discarded: discardChanges(id, { paths: path, dryRun }) };
    return { data };
  },
  text: ({ discarded }, { quiet }) => (quiet ? "" : discarded.map((change) => `${changeLine(change)}\n`).join("")),
});
