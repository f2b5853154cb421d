// deadline: 600
// One suite of probes for a plain directory, the kernel's overlayfs and ours: see docs/unions.md, which its table is of.
import { expect, test } from "bun:test";
import { limits, limitsUnopened } from "../../src/conformance/limits.ts";
import type { Probe } from "../../src/conformance/probe.ts";
import { allProbes, nameOf } from "../../src/conformance/probes/index.ts";
import { type Outcome, type Outcomes, runProbes } from "../../src/conformance/runner.ts";
import { type System, systems } from "../../src/conformance/systems.ts";
import { readTable } from "./table.ts";

const probes = allProbes();
const all = new Map<string, Promise<Outcomes>>();
/** Two at a time: each is mostly waiting for the disk. */
const queues = [Promise.resolve(), Promise.resolve()];
for (const [index, system] of systems.entries()) {
  const outcomes = (queues[index % queues.length] ?? Promise.resolve()).then(() => runWithRepeats(system));
  queues[index % queues.length] = outcomes.then(
    () => {},
    () => {},
  );
  all.set(system.id, outcomes);
}

/** What is wrong on a busy machine and not when it is asked again isn't. */
async function runWithRepeats(system: System): Promise<Outcomes> {
  const outcomes = new Map(await runProbes(system, probes));
  const known = recorded(system);
  const odd = probes.filter((probe) => kindOf(outcomes, probe) === "wrong" && known.get(nameOf(probe)) !== "wrong");
  if (odd.length > 0) for (const [name, outcome] of await runProbes(system, odd)) outcomes.set(name, outcome);
  return outcomes;
}

function kindOf(outcomes: Outcomes, probe: Probe): Outcome["kind"] | undefined {
  return outcomes.get(nameOf(probe))?.kind;
}

/** What docs/unions.md says of a system. */
function recorded(system: System): ReadonlyMap<string, Outcome["kind"] | undefined> {
  const column = systems.indexOf(system);
  return new Map([...readTable()].map(([name, kinds]) => [name, kinds[column]]));
}

function wrongIn(outcomes: Outcomes): string[] {
  return [...outcomes].flatMap(([name, outcome]) => (outcome.kind === "wrong" ? [`${name}: ${outcome.what}`] : []));
}

test("no two probes have one name", () => {
  expect(new Set(probes.map(nameOf)).size).toBe(probes.length);
});

test("a plain directory passes every probe", async () => {
  expect(wrongIn((await all.get("plain")) ?? new Map())).toEqual([]);
});

for (const system of systems.filter(({ id }) => id.startsWith("fallthru"))) {
  test(`${system.id} passes every probe but those that Linux keeps it from`, async () => {
    const wrong = wrongIn((await all.get(system.id)) ?? new Map());
    const known = system.id === "fallthru-off" ? limitsUnopened : limits;
    expect(wrong.filter((line) => ![...known.keys()].some((name) => line.startsWith(`${name}: `)))).toEqual([]);
  });
}

for (const system of systems) {
  test(`docs/unions.md is right about ${system.id}`, async () => {
    const outcomes = (await all.get(system.id)) ?? new Map<string, Outcome>();
    const table = recorded(system);
    const is = probes.map((probe) => `${nameOf(probe)}: ${kindOf(outcomes, probe) ?? "not run"}`);
    expect(is).toEqual(probes.map((probe) => `${nameOf(probe)}: ${table.get(nameOf(probe)) ?? "not in the table"}`));
  });
}
