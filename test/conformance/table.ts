import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Probe } from "../../src/conformance/probe.ts";
import { nameOf } from "../../src/conformance/probes/index.ts";
import type { Outcome, Outcomes } from "../../src/conformance/runner.ts";
import type { System } from "../../src/conformance/systems.ts";

const page = resolve(import.meta.dirname, "../../docs/unions.md");
const marks = ["<!-- printed by test/conformance/run.ts --table: begin -->", "<!-- end -->"] as const;

/** Puts the outcomes into docs/unions.md: a row for each probe, a column for each system. */
export function writeTable(systems: readonly System[], probes: readonly Probe[], results: readonly Outcomes[]): void {
  const { before, after } = split(readFileSync(page, "utf8"));
  const lines = [...summary(systems, results), "", ...rows(systems, probes, results)];
  writeFileSync(page, `${before}${marks[0]}\n\n${lines.join("\n")}\n\n${marks[1]}${after}`);
}

/** What the page says of each probe: in the order of its columns, whether it was found to be so. */
export function readTable(): ReadonlyMap<string, readonly Outcome["kind"][]> {
  const table = new Map<string, readonly Outcome["kind"][]>();
  let area = "";
  for (const line of split(readFileSync(page, "utf8")).between.split("\n")) {
    if (line.startsWith("### ")) area = line.slice(4);
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    const [, name = "", ...rest] = cells;
    if (area === "" || rest.length < 3 || name === "" || name === "---") continue;
    table.set(`${area}: ${name.replaceAll("\\|", "|")}`, rest.slice(0, -1).map(kindOf));
  }
  return table;
}

function kindOf(cell: string): Outcome["kind"] {
  if (cell === "ok") return "ok";
  return cell === "–" ? "left out" : "wrong";
}

function split(text: string): { before: string; between: string; after: string } {
  const [before = "", rest = ""] = text.split(marks[0]);
  const [between = "", after = ""] = rest.split(marks[1]);
  return { before, between, after };
}

function summary(systems: readonly System[], results: readonly Outcomes[]): string[] {
  const count = (outcomes: Outcomes, kind: Outcome["kind"]): number =>
    [...outcomes.values()].filter((outcome) => outcome.kind === kind).length;
  return [
    "| | probes | ok | wrong |",
    "|---|---|---|---|",
    ...systems.map(({ title }, index) => {
      const outcomes = results[index] ?? new Map();
      const [ok, wrong] = [count(outcomes, "ok"), count(outcomes, "wrong")];
      return `| ${title} | ${ok + wrong} | ${ok} | ${wrong} |`;
    }),
  ];
}

function rows(systems: readonly System[], probes: readonly Probe[], results: readonly Outcomes[]): string[] {
  const areas = [...new Set(probes.map(({ area }) => area))];
  return areas.flatMap((area) => [
    `### ${area}`,
    "",
    `| | ${systems.map(({ id }) => id).join(" | ")} |`,
    `|---|${systems.map(() => "---|").join("")}`,
    ...probes
      .filter((probe) => probe.area === area)
      .map((probe) => {
        const cells = results.map((outcomes) => cellOf(outcomes.get(nameOf(probe))));
        return `| ${probe.name.replaceAll("|", "\\|")} | ${cells.join(" | ")} |`;
      }),
    "",
  ]);
}

function cellOf(outcome: Outcome | undefined): string {
  if (outcome === undefined || outcome.kind === "left out") return "–";
  return outcome.kind === "ok" ? "ok" : `**WRONG** ${shorten(outcome.what)}`;
}

/** What changes from run to run is left out: long numbers, names of temporary directories, anything after a line. */
function shorten(what: string): string {
  const text = (what.split("\n")[0] ?? "")
    .replace(/\/\S*conformance-\S+/g, "…")
    .replace(/\d{5,}/g, "N")
    .replaceAll("|", "\\|")
    .replaceAll("<", "&lt;")
    .replace(/[^\x20-\x7e–…]/g, "?");
  return text.length <= 70 ? text : `${text.slice(0, 69)}…`;
}
