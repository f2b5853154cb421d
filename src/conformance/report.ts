import { limits } from "./limits.ts";
import type { Probe } from "./probe.ts";
import { allProbes, nameOf } from "./probes/index.ts";
import { type Outcomes, runProbes } from "./runner.ts";
import { type System, systemOf } from "./systems.ts";

/** What one system did. */
export interface ProbedSystem {
  readonly system: string;
  readonly title: string;
  readonly ok: number;
  readonly wrong: number;
  readonly leftOut: number;
  readonly failures: readonly Failure[];
}

/** A probe that found something wrong. */
export interface Failure {
  readonly probe: string;
  readonly found: string;
  /** Why it should be otherwise. */
  readonly why: string;
  /** What Linux keeps our mount from, known and written down. */
  readonly isKnown: boolean;
}

/** The control, what the kernel has at its best, and ours. */
const looked = ["plain", "overlay-best", "fallthru"];

/**
 * Runs all probes with their layers in a directory, on its file system: what each system did there.
 * @param onProgress called before each probe, with how much of the whole is done
 */
export async function probeDirectory(
  directory: string,
  onProgress: (text: string, fraction: number) => void,
): Promise<readonly ProbedSystem[]> {
  const probes = allProbes();
  const all: ProbedSystem[] = [];
  for (const [index, id] of looked.entries()) {
    const system = systemOf(id);
    let done = 0;
    const onOutcome = (probe: string): void =>
      onProgress(`${system.id}: ${probe}`, (index + ++done / probes.length) / looked.length);
    all.push(summaryOf(system, probes, await runProbes(system, probes, { directory, onOutcome })));
  }
  return all;
}

function summaryOf({ id, title }: System, probes: readonly Probe[], outcomes: Outcomes): ProbedSystem {
  const count = (kind: string): number => [...outcomes.values()].filter((outcome) => outcome.kind === kind).length;
  const failures = probes.flatMap((probe): Failure[] => {
    const outcome = outcomes.get(nameOf(probe));
    if (outcome?.kind !== "wrong") return [];
    const isKnown = id === "fallthru" && limits.has(nameOf(probe));
    return [{ probe: nameOf(probe), found: outcome.what, why: probe.why, isKnown }];
  });
  return { system: id, title, ok: count("ok"), wrong: count("wrong"), leftOut: count("left out"), failures };
}
