import { resolve } from "node:path";
import type { ProbedSystem } from "../../conformance/report.ts";
import { UserError } from "../../error.ts";
import { diagnose, type Finding } from "../../session/doctor.ts";
import { command, type Common } from "../command.ts";
import { table } from "../print.ts";
import { showProgress } from "../progress.ts";

export const doctor = command({
  name: "doctor",
  summary: "say what this machine can do, what it lacks, and the way out",
  description: [
    "With --probe it runs some 350 small programs, each of which states how a file system behaves, on a plain directory, overlayfs with its best options and our own union, with their layers in DIR, and says which found something wrong. That takes a minute or two, in name spaces of its own; nothing stays in DIR.",
  ],
  operands: {},
  options: {
    probe: {
      type: "string",
      placeholder: "DIR",
      completes: "directory",
      summary: "how file systems with their layers in DIR behave",
    },
  },
  examples: [
    { line: "fallthru doctor", does: "one line for each thing that Fallthru uses" },
    { line: "fallthru doctor --probe /var/tmp", does: "whether unions on that disk behave as they should" },
  ],
  exits: {
    0: "nothing that is needed is missing, and our union behaves as a directory does",
    1: "something that is needed is missing, or is wrong",
  },
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
    { name: "probed", type: "object[]", summary: "with `--probe`: one for each kind of file system" },
    { name: "probed[].system", type: "string", summary: "`plain`, `overlay-best` or `fallthru`" },
    { name: "probed[].title", type: "string", summary: "in words" },
    { name: "probed[].ok", type: "number", summary: "how many probes found what they say" },
    { name: "probed[].wrong", type: "number", summary: "how many didn't" },
    { name: "probed[].leftOut", type: "number", summary: "how many make no sense there" },
    { name: "probed[].failures", type: "object[]", summary: "those that are wrong" },
    { name: "probed[].failures[].probe", type: "string", summary: "its area and name" },
    { name: "probed[].failures[].found", type: "string", summary: "what was found" },
    { name: "probed[].failures[].why", type: "string", summary: "why it should be otherwise" },
    { name: "probed[].failures[].isKnown", type: "boolean", summary: "Linux keeps our union from it: docs/unions.md" },
  ],
  run: async (_operands, { probe }, common) => {
    if (probe !== undefined) return probeReport(resolve(probe), common);
    const findings = diagnose();
    return {
      data: { findings, probed: noneProbed },
      status: findings.some(({ state }) => state === "missing") ? 1 : 0,
    };
  },
  text: ({ findings, probed }, { quiet }) => {
    if (probed.length > 0) return probedText(probed, quiet);
    const shown = quiet ? findings.filter(({ state }) => state !== "ok") : findings;
    const lines = shown.flatMap(({ name, state, detail, hint }) => [
      [state, name, detail],
      ...(hint === undefined ? [] : [["", "", `-> ${hint}`]]),
    ]);
    return table(["STATE", "WHAT", "FOUND"], lines);
  },
});

const noneProbed: readonly ProbedSystem[] = [];

async function probeReport(directory: string, { quiet, json }: Common) {
  if (process.geteuid?.() !== 0) throw new UserError("usage", "probes mount file systems: run it as root");
  const view = showProgress(quiet || json ? "quiet" : "shown");
  const { probeDirectory } = await import("../../conformance/report.ts");
  const probed = await probeDirectory(directory, (text, fraction) => view.show(text, fraction)).finally(() =>
    view.end(),
  );
  const findings: readonly Finding[] = [];
  const isWrong = probed.some(
    ({ system, failures }) => system === "fallthru" && failures.some((each) => !each.isKnown),
  );
  return { data: { findings, probed }, status: isWrong ? 1 : 0 };
}

/** What is wrong with overlayfs is counted only: docs/unions.md has it. */
function probedText(probed: readonly ProbedSystem[], quiet: boolean): string {
  const failures = probed
    .filter(({ system }) => system !== "overlay-best")
    .flatMap(({ system, failures: found }) => found.map((failure) => ({ ...failure, system })))
    .filter(({ isKnown }) => !quiet || !isKnown);
  const lines = failures.map(
    ({ system, probe, found, why, isKnown }) =>
      `\n${system}: ${probe}\n  found: ${found}\n  but: ${why}${isKnown ? "\n  known: Linux keeps FUSE from it" : ""}\n`,
  );
  const counts = probed.map(({ title, ok, wrong, leftOut }) => [title, String(ok), String(wrong), String(leftOut)]);
  return table(["FILE SYSTEM", "OK", "WRONG", "LEFT OUT"], counts) + lines.join("");
}
