import { canKeep, keep, readKept, stampOfFile } from "../chroot/kept.ts";
import { type Attr, findAt } from "../kernel/file.ts";
import { heldDir, sessionsDir } from "./paths.ts";
import type { ReadSummary } from "./record.ts";

/** What was read of thousands of sessions, kept for the next one who lists them. */

/** Fewer are read in a few milliseconds. */
const many = 1000;

const keptName = "sessions.json";

/**
 * What was changed so lately may change once more in the same moment, and show the same time. The kernel's own clock for it makes
 * steps of 10 ms at most; file systems without parts of a second, of 2 s.
 */
const [settledMs, settledOfSecondsMs] = [100, 2000];

/**
 * What tells that no session came, went or became another: whoever makes, changes or removes one holds it meanwhile, by a file in
 * heldDir. To be asked before any session is looked at, and while none is held.
 * @returns undefined where that can't be told
 */
export function stampOfSessions(): Buffer | undefined {
  const now = Date.now();
  // With another executable of ours what was kept may mean something else.
  const stamps = [sessionsDir, heldDir, process.execPath].map(stampOfFile);
  // Behind them: then they are of what was settled, too.
  const directories = [sessionsDir, heldDir].map((path) => findAt(null, path));
  if (!directories.every((attr) => attr !== undefined && isSettled(attr, now)) || !canKeep()) return undefined;
  return Buffer.concat(stamps.map((stamp) => new Uint8Array(stamp.buffer)));
}

function isSettled({ mtimeNs, ctimeNs }: Attr, nowMs: number): boolean {
  const age = (ns: bigint): number => nowMs - Number(ns / 1_000_000n);
  return [mtimeNs, ctimeNs].every((ns) => age(ns) >= (ns % 1_000_000_000n === 0n ? settledOfSecondsMs : settledMs));
}

/** What keepSummaries() has kept with the same stamp, if anything. */
export function keptSummaries(stamp: Buffer): readonly ReadSummary[] | undefined {
  const file = readKept(keptName);
  if (file === undefined || !file.subarray(0, stamp.length).equals(stamp)) return undefined;
  return JSON.parse(file.toString("utf8", stamp.length)) as ReadSummary[];
}

/** @param stamp from before they were read */
export function keepSummaries(stamp: Buffer, summaries: readonly ReadSummary[]): void {
  if (summaries.length >= many) keep(keptName, Buffer.concat([stamp, Buffer.from(JSON.stringify(summaries))]));
}
