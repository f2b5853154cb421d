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
    "One line for each session: its id, the chroot that it is a view of, its state, its age, and how long it is until gc may end it. An open session can be run in. One that is unmounted lost its mounts with a restart of the machine; recover brings them back. One that is held is being begun or ended, or belongs to a run that goes on. A leftover is what a killed process left behind; recover clears it away. The record of one that is unreadable is damaged, or a newer Fallthru's: info says which, and end gives up its changes. The chroots are listed by fallthru chroot list.",
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
    const head = ["SESSION", "CHROOT", "STATE", "AGE", "TTL"];
    if (!sessions.some(({ forkedFrom }) => forkedFrom !== undefined)) return table(head, sessions.map(row));
    const rows = sessions.map((session) => [...row(session), session.forkedFrom ?? "-"]);
    return table([...head, "FORKED FROM"], rows);
  },
});

function row({ id, chroot, state, createdMs, expiresMs }: SessionSummary): string[] {
  const age = createdMs === 0 ? "-" : durationText((Date.now() - createdMs) / 1000); // half-made: no record yet
  return [id, chroot === "" ? "-" : chroot, state, age, ttlText(expiresMs)];
}

/** How long it is until `gc` may end it. */
export function ttlText(expiresMs: number | undefined): string {
  if (expiresMs === undefined) return "-";
  return expiresMs <= Date.now() ? "over" : durationText((expiresMs - Date.now()) / 1000);
}
