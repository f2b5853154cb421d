// Runs probes of one system, one after the other: `probe-worker SYSTEM DIRECTORY`, their names on stdin, one a line.
// Each has a line of JSON on stdout when it begins and when it has ended.
import { openSync, readFileSync, writeSync } from "node:fs";
import { errnoOf, Wrong } from "./kit/assert.ts";
import { map } from "./kit/memory.ts";
import { Place } from "./place.ts";
import type { Probe } from "./probe.ts";
import { allProbes, nameOf } from "./probes/index.ts";
import { systemOf, type System } from "./systems.ts";

/** What a worker says. */
export type Message =
  | { readonly kind: "begin"; readonly probe: string }
  | { readonly kind: "end"; readonly probe: string; readonly wrong: string | undefined; readonly ms: number };

function say(message: Message): void {
  writeSync(1, `${JSON.stringify(message)}\n`);
}

/** @returns what is wrong */
async function runProbe(system: System, probe: Probe, base: string): Promise<string | undefined> {
  process.chdir("/");
  process.umask(0o022);
  const place = new Place(system, probe, base);
  try {
    probe.prepare?.(place.layers.lower, place.layers);
    place.attach();
    await probe.run(place.mount, place);
    place.detach();
    return undefined;
  } catch (error) {
    return describe(error);
  } finally {
    process.chdir("/");
    place.remove();
  }
}

function describe(error: unknown): string {
  if (error instanceof Wrong) return error.message;
  if (!(error instanceof Error)) return String(error);
  const errno = errnoOf(error);
  if (errno !== undefined && process.env["PROBE_STACKS"] === undefined) {
    return `${"syscall" in error ? String(error.syscall) : "a call"}: ${errno}`;
  }
  return process.env["PROBE_STACKS"] === undefined ? error.message : (error.stack ?? error.message);
}

/** Runs the probes that stdin names; as the system `map`, writes to a mapping of a file, and dies of that or not. */
export async function runWorker(system: string, base: string): Promise<void> {
  if (system === "map") {
    const mapping = map(openSync(base, "r+"), "write");
    mapping.write(0, "x");
    mapping.sync();
    return;
  }
  const wanted = new Set(readFileSync(0, "utf8").split("\n"));
  for (const probe of allProbes()) {
    const name = nameOf(probe);
    if (!wanted.has(name)) continue;
    say({ kind: "begin", probe: name });
    const start = performance.now();
    const wrong = await runProbe(systemOf(system), probe, base);
    say({ kind: "end", probe: name, wrong, ms: Math.round(performance.now() - start) });
  }
}
