import { canKeep, changesOf, keep, readKept, stampOfFile } from "../chroot/kept.ts";
import { useHugePages } from "../kernel/hugepages.ts";
import { heldDir, sessionsDir } from "./paths.ts";
import type { ReadSummary } from "./record.ts";

/** What was read of thousands of sessions, kept for the next one who lists them. */

/** Fewer are read in a few milliseconds, and take no memory to speak of. */
export const many = 1000;

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
  const stamps = [sessionsDir, heldDir].map(stampOfFile);
  if (!stamps.every((stamp) => isSettled(stamp, now)) || !canKeep()) return undefined;
  // With another executable of ours what was kept may mean something else.
  return Buffer.concat([...stamps, stampOfFile(process.execPath)].map((stamp) => new Uint8Array(stamp.buffer)));
}

function isSettled(stamp: Uint32Array, nowMs: number): boolean {
  const isThere = stamp[0] === 1;
  return (
    isThere &&
    changesOf(stamp).every(
      ([seconds, nsec]) => nowMs - seconds * 1000 - nsec / 1e6 >= (nsec === 0 ? settledOfSecondsMs : settledMs),
    )
  );
}

/** What keepSummaries() has kept with the same stamp, if anything. */
export function keptSummaries(stamp: Buffer): readonly ReadSummary[] | undefined {
  const file = readKept(keptName);
  if (file === undefined || !file.subarray(0, stamp.length).equals(stamp)) return undefined;
  useHugePages();
  return JSON.parse(file.toString("utf8", stamp.length)) as ReadSummary[];
}

/** @param stamp from before they were read */
export function keepSummaries(stamp: Buffer, summaries: readonly ReadSummary[]): void {
  if (summaries.length >= many) keep(keptName, Buffer.concat([stamp, Buffer.from(JSON.stringify(summaries))]));
}
