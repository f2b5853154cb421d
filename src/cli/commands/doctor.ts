import { diagnose } from "../../session/doctor.ts";
import { command } from "../command.ts";
import { table } from "../print.ts";

export const doctor = command({
  name: "doctor",
  summary: "say what this machine can do, what it lacks, and the way out",
  operands: {},
  options: {},
  examples: [{ line: "fallthru doctor", does: "one line for each thing that Fallthru uses" }],
  exits: { 0: "nothing that is needed is missing", 1: "something that is needed is missing" },
  json: [
    { name: "findings", type: "object[]", summary: "one for each thing that Fallthru uses" },
    { name: "findings[].name", type: "string", summary: "what was looked at" },
    {
      name: "findings[].state",
      type: "string",
      summary: "`ok`; `warning`: it works with less; `missing`: it doesn't work",
    },
    { name: "findings[].detail", type: "string", summary: "what was found" },
    { name: "findings[].hint", type: "string?", summary: "the way out" },
  ],
  run: () => {
    const findings = diagnose();
    return { data: { findings }, status: findings.some(({ state }) => state === "missing") ? 1 : 0 };
  },
  text: ({ findings }, { quiet }) => {
    const shown = quiet ? findings.filter(({ state }) => state !== "ok") : findings;
    const lines = shown.flatMap(({ name, state, detail, hint }) => [
      [state, name, detail],
      ...(hint === undefined ? [] : [["", "", `-> ${hint}`]]),
    ]);
    return table(["STATE", "WHAT", "FOUND"], lines);
  },
});
