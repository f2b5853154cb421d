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
  exits: {},
  json: [
    { name: "ended", type: "string[]", summary: "the sessions whose time was over" },
    { name: "removed", type: "string[]", summary: "the sessions that killed processes had left" },
  ],
  run: () => ({ data: collectGarbage() }),
  text: ({ ended, removed }, { quiet }) =>
    quiet ? "" : [...ended.map((id) => `ended ${id}\n`), ...removed.map((id) => `removed ${id}\n`)].join(""),
});
