// `run.ts [--table] [--system ID]... [--directory DIR] [WORD...]`: runs the probes whose names contain one of the words,
// all of them without any, and prints what is wrong; with --table, writes the table into docs/unions.md.
import { parseArgs } from "node:util";
import { allProbes, nameOf } from "../../src/conformance/probes/index.ts";
import { type Outcomes, runProbes } from "../../src/conformance/runner.ts";
import { systemOf, systems } from "../../src/conformance/systems.ts";
import { writeTable } from "./table.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    table: { type: "boolean", default: false },
    system: { type: "string", multiple: true },
    directory: { type: "string" },
    verbose: { type: "boolean", short: "v", default: false },
  },
});

const chosen = values.system?.map((id) => systemOf(id)) ?? systems;
const probes = allProbes().filter(
  (probe) => positionals.length === 0 || positionals.some((word) => nameOf(probe).includes(word)),
);
const results: Outcomes[] = [];
for (const system of chosen) {
  const start = performance.now();
  const outcomes = await runProbes(system, probes, {
    ...(values.directory === undefined ? {} : { directory: values.directory }),
    onOutcome: (probe, outcome) => {
      if (outcome.kind === "wrong") console.log(`${system.id.padEnd(13)} ${probe}: ${outcome.what}`);
      else if (values.verbose && outcome.kind === "ok")
        console.log(`${system.id.padEnd(13)} ${probe}: ok ${outcome.ms} ms`);
    },
  });
  results.push(outcomes);
  const count = (kind: string): number => [...outcomes.values()].filter((outcome) => outcome.kind === kind).length;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(
    `${system.id.padEnd(13)} ${count("ok")} ok, ${count("wrong")} wrong, ${count("left out")} left out, ${seconds} s`,
  );
}
if (values.table) writeTable(chosen, probes, results);
