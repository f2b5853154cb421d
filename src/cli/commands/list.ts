import { listSessions } from "../../session/list.ts";
import type { SessionSummary } from "../../session/types.ts";
import { command } from "../command.ts";
import { table } from "../print.ts";
import { durationText } from "../values.ts";
import { sessionJson } from "./session-json.ts";

export const list = command({
  name: "list",
  summary: "list the sessions",
  description: [
    "One line for each session: its id, the chroot that it is a view of, its state, its age, and how long it is until gc may end it. An open session can be run in. One that is unmounted lost its mounts with a restart of the machine; recover brings them back. One that is held is being begun or ended, or belongs to a run that goes on. A leftover is what a killed process left behind; recover clears it away. Where the root that it lies over was updated since it began, which it keeps as it was, the last column says when. The record of one that is unreadable is damaged, or a newer Fallthru's: info says which, and end gives up its changes. The chroots are listed by fallthru chroot list.",
  ],
  operands: {},
  options: {},
  examples: [
    { line: "fallthru list", does: "a table" },
    { line: "fallthru list --json | jq -r '.sessions[].id'", does: "only the ids" },
  ],
  exits: {},
  json: [
    { name: "sessions", type: "object[]", summary: "the sessions, the oldest first" },
    ...sessionJson("sessions[]."),
  ],
  run: () => ({ data: { sessions: listSessions() } }),
  text: ({ sessions }) => {
    const columns = [...usual, ...special.filter(({ of }) => sessions.some((session) => of(session) !== "-"))];
    const rows = sessions.map((session) => columns.map(({ of }) => of(session)));
    return table(
      columns.map(({ head }) => head),
      rows,
    );
  },
});

interface Column {
  readonly head: string;
  readonly of: (session: SessionSummary) => string;
}

const ago = (ms: number) => durationText((Date.now() - ms) / 1000);

const usual: readonly Column[] = [
  { head: "SESSION", of: ({ id }) => id },
  { head: "CHROOT", of: ({ chroot }) => (chroot === "" ? "-" : chroot) },
  { head: "STATE", of: ({ state }) => state },
  { head: "AGE", of: ({ createdMs }) => (createdMs === 0 ? "-" : ago(createdMs)) }, // half-made: no record yet
  { head: "TTL", of: ({ expiresMs }) => ttlText(expiresMs) },
];

/** Those that are there where a session has something to say in them. */
const special: readonly Column[] = [
  { head: "FORKED FROM", of: ({ forkedFrom = "-" }) => forkedFrom },
  { head: "ROOT", of: ({ rootReplacedMs: at }) => (at === undefined ? "-" : `updated ${ago(at)} ago`) },
];

/** How long it is until `gc` may end it. */
export function ttlText(expiresMs: number | undefined): string {
  if (expiresMs === undefined) return "-";
  return expiresMs <= Date.now() ? "over" : durationText((expiresMs - Date.now()) / 1000);
}
