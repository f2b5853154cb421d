import { UserError } from "../../error.ts";
import { type BrokenEntry, forgetCommit, type LogEntry, readLog } from "../../session/commit/log.ts";
import { uninterrupted } from "../../session/signals.ts";
import { command, type Common } from "../command.ts";
import { fields, table } from "../print.ts";
import { sizeText } from "../values.ts";
import { warn } from "../warn.ts";
import { changesJson, changeLines, type ShownChange, shownChange } from "./commit-text.ts";

type Shown = Omit<LogEntry, "changes"> & { readonly changes?: readonly ShownChange[] };

interface LogData {
  readonly commits: readonly Shown[];
  readonly broken: readonly BrokenEntry[];
  readonly forgotten?: { readonly commit: string; readonly freedBytes: number };
}

export const log = command({
  name: "log",
  summary: "show what was committed, and what was undone",
  description: [
    "What a commit has replaced is kept until it is undone, and takes the space that is shown. `--forget` gives it up: the commit stays in the log and can't be undone any more.",
  ],
  operands: {
    commit: { arity: "optional", summary: "a commit's id, or its beginning: only that one, with all that it changed" },
  },
  options: { forget: { type: "boolean", summary: "delete what is kept so that COMMIT can be undone" } },
  examples: [
    { line: "fallthru log", does: "all commits, the newest first" },
    { line: "fallthru log 4f1d", does: "what that one changed" },
    { line: "fallthru log --forget 4f1d", does: "give up undoing it" },
  ],
  exits: { 3: "no such commit", 5: "nothing is kept of it any more" },
  json: [
    { name: "commits", type: "object[]", summary: "the newest first" },
    { name: "commits[].commit", type: "string", summary: "its id" },
    { name: "commits[].session", type: "string", summary: "the session that it came from" },
    { name: "commits[].chroot", type: "string", summary: "the chroot that the session was begun on, or `host`" },
    { name: "commits[].createdMs", type: "number", summary: "when, in milliseconds since 1970" },
    { name: "commits[].user", type: "string", summary: "who did it; through sudo, who called that" },
    { name: "commits[].targets", type: "string[]", summary: "the directories that were changed" },
    {
      name: "commits[].state",
      type: "string",
      summary: "`committed`, `undone`, or `forgotten`: it can't be undone any more",
    },
    { name: "commits[].undoneMs", type: "number?", summary: "when it was undone" },
    { name: "commits[].undoneBy", type: "string?", summary: "who did that" },
    {
      name: "commits[].keptBytes",
      type: "number",
      summary: "what is kept so that it can be undone takes so much space",
    },
    { name: "commits[].count", type: "number", summary: "how many changes" },
    ...changesJson("commits[].changes").map((field, index) =>
      index === 0 ? { ...field, type: "object[]?", summary: `with COMMIT: ${field.summary}` } : field,
    ),
    { name: "broken", type: "object[]", summary: "those that can't be shown; they keep nobody from the others" },
    { name: "broken[].commit", type: "string", summary: "its id" },
    {
      name: "broken[].state",
      type: "string",
      summary: "`damaged`: its journal; `unfinished`: left half done, and can't be finished",
    },
    { name: "broken[].reason", type: "string", summary: "why" },
    { name: "broken[].hint", type: "string?", summary: "what to do" },
    { name: "forgotten", type: "object?", summary: "with --forget" },
    { name: "forgotten.commit", type: "string", summary: "the commit that can't be undone any more" },
    { name: "forgotten.freedBytes", type: "number", summary: "what that gave free" },
  ],
  run: async ({ commit }, { forget }, common): Promise<{ data: LogData }> => {
    if (!forget) return { data: await readShown(commit, common) };
    if (commit === undefined)
      throw new UserError("usage", "--forget needs a COMMIT", { hint: "fallthru log shows them" });
    const { result } = await uninterrupted(() => forgetCommit(commit));
    return { data: { ...(await readShown(commit, common)), forgotten: result } };
  },
  text: ({ commits, broken, forgotten }, { quiet }) => {
    if (forgotten !== undefined)
      return quiet ? "" : `forgot ${forgotten.commit}, which gives ${sizeText(forgotten.freedBytes)} free\n`;
    const [first] = commits;
    return first?.changes === undefined
      ? table(headings, [...broken.map(brokenRow), ...commits.map(row)])
      : whole(first, first.changes);
  },
});

const headings = ["COMMIT", "SESSION", "WHEN", "BY", "CHANGES", "KEPT", "STATE", "TO"];

function row({ commit, session, createdMs, user, count, keptBytes, state, targets }: Shown): string[] {
  const kept = state === "committed" ? sizeText(keptBytes) : "-";
  return [commit, session, timeText(createdMs), user, String(count), kept, state, targets.join(", ")];
}

function brokenRow({ commit, state }: BrokenEntry): string[] {
  return [commit, "-", "-", "-", "-", "-", state, "-"];
}

async function readShown(asked: string | undefined, common: Common): Promise<Omit<LogData, "forgotten">> {
  const { commits, broken } = await readLog(asked);
  if (!common.json)
    warn(
      broken.map(({ reason, hint }) => (hint === undefined ? reason : `${reason}; ${hint}`)),
      common,
    );
  return { commits: commits.map(shown), broken };
}

function whole(entry: Shown, changes: readonly ShownChange[]): string {
  const { commit, session, chroot, createdMs, user, targets, state, undoneMs, undoneBy, keptBytes } = entry;
  const undone = undoneMs === undefined ? undefined : `${timeText(undoneMs)}, by ${undoneBy ?? "?"}`;
  const facts = fields([
    ["commit", commit],
    ["session", `${session}, on ${chroot}`],
    ["made", `${timeText(createdMs)}, by ${user}`],
    ["to", targets],
    ["state", state],
    ["undone", undone],
    ["kept", state === "committed" ? sizeText(keptBytes) : undefined],
  ]);
  return `${facts}\n${changeLines(changes)}`;
}

/** In the time zone of who reads it. */
function timeText(ms: number): string {
  const date = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function shown({ changes, ...entry }: LogEntry): Shown {
  return changes === undefined ? entry : { ...entry, changes: changes.map(shownChange) };
}
