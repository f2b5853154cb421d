import { collectGarbage } from "../../session/gc.ts";
import { command } from "../command.ts";

export const gc = command({
  name: "gc",
  summary: "end the sessions that are older than their ttl",
  description: [
    "A session that was begun without --ttl is never ended by gc. What a killed process left behind is cleared away too.",
  ],
  operands: {},
  options: {},
  examples: [{ line: "fallthru gc --quiet", does: "from a timer" }],
  exits: { 1: "a session could not be removed: it is named" },
  json: [
    { name: "ended", type: "string[]", summary: "the sessions whose time was over" },
    { name: "removed", type: "string[]", summary: "the sessions that killed processes had left" },
    { name: "stuck", type: "object[]", summary: "the sessions that could not be removed" },
    { name: "stuck[].id", type: "string", summary: "the session's id" },
    { name: "stuck[].reason", type: "string", summary: "why" },
  ],
  run: async () => {
    const data = await collectGarbage();
    return { data, status: data.stuck.length > 0 ? 1 : 0 };
  },
  text: ({ ended, removed, stuck }, { quiet }) => {
    const done = [...ended.map((id) => `ended ${id}\n`), ...removed.map((id) => `removed ${id}\n`)];
    return [...(quiet ? [] : done), ...stuck.map(({ id, reason }) => `stuck ${id}: ${reason}\n`)].join("");
  },
});
