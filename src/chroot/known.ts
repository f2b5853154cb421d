import { STATX_SIZE } from "../kernel/abi/file.ts";
import { isErrno, unless } from "../kernel/error.ts";
import { findAt, openDirectory, renameAt } from "../kernel/file.ts";
import { namesOf, readText, statInto, writeText } from "../kernel/trusted.ts";
import { isUsers, places } from "../places.ts";
import { configDirectory } from "./files.ts";
import type { Problem } from "./problem.ts";

/**
 * What was found in hundreds of descriptions, kept for the next one who asks: to read and check 500 takes 30 ms, to see that
 * none was changed 3. Kept for the superuser alone, where only the superuser can write; a file that was changed in any
 * way, or came, or went, or another executable of ours, makes all of it void.
 */
export interface Known {
  readonly chroots: readonly Outline[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
  /** The files that describe a name or alias; not where something is wrong anywhere, which may concern any name. */
  readonly files?: Readonly<Record<string, readonly string[]>>;
}

/** What a list shows of a chroot. */
export interface Outline {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly hasSource: boolean;
  readonly isPlain: boolean;
}

/** Fewer are read as fast as they are looked at. */
const enoughFiles = 20;

const cacheFile = `${places.run}/chroots.json`;

/** The state of the descriptions, as far as anything can be known of it. */
export interface Stamp {
  readonly text: string;
  /** When the last of them was changed, in seconds since 1970. */
  readonly newest: number;
}

/** To be taken before the descriptions are read. @returns undefined where nothing is kept */
export function stampOf(directory: string): Stamp | undefined {
  // Where no session was ever begun, there is no place yet that is ours alone.
  if (directory !== configDirectory || isUsers || findAt(null, places.run)?.isMountRoot !== true) return undefined;
  using dir = unless(["ENOENT", "ENOTDIR"], () => openDirectory(`${directory}/chroot.d`));
  const names = dir === undefined ? [] : namesOf(dir).toSorted();
  if (dir === undefined || names.length < enoughFiles) return undefined;
  const fields = new Uint32Array(STATX_SIZE / 4);
  const bytes = new Uint8Array(fields.buffer);
  const seen = new Uint32Array((names.length + 2) * (stamped.length + 1));
  let [length, newest] = [0, 0];
  const add = (at: typeof dir | null, name: string): void => {
    const isThere = statInto(at, name, bytes);
    seen[length++] = isThere ? 1 : 0;
    for (const field of stamped) seen[length++] = isThere ? (fields[field] ?? 0) : 0;
    if (isThere) newest = Math.max(newest, fields[ctimeSeconds] ?? 0, fields[mtimeSeconds] ?? 0);
  };
  add(null, process.execPath);
  newest = 0;
  add(null, `${directory}/schroot.conf`);
  for (const name of names) add(dir, name);
  // In one piece: to write out each number of hundreds of files would take as long as to look at them.
  return { text: `${names.join("\0")}\n${Buffer.from(seen.buffer).toString("base64")}`, newest };
}

/**
 * Of struct statx by its 32-bit halves: owner, mode (and 16 bits that are nothing), inode, size, times of change of the inode and of the
 * content in seconds and nanoseconds, device.
 */
const stamped = [5, 7, 8, 9, 10, 11, 24, 25, 26, 28, 29, 30, 34, 35] as const;
const [ctimeSeconds, mtimeSeconds] = [24, 28];

/** What was kept of descriptions that are still what they were then. */
export function readKnown({ text }: Stamp): Known | undefined {
  const kept = unless(["ENOENT"], () => readText(cacheFile));
  if (kept === undefined) return undefined;
  try {
    const { stamp, known } = JSON.parse(kept) as { stamp: string; known: Known };
    return stamp === text ? known : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** A file that was changed in the same moment in which it was looked at might show the same times when it is changed again. */
const settledSeconds = 2;

/** Whether what is found after the stamp was taken can be kept. */
export function isSettled({ newest }: Stamp): boolean {
  return newest + settledSeconds <= Date.now() / 1000;
}

export function keepKnown({ text }: Stamp, known: Known): void {
  const temporary = `${cacheFile}.${process.pid}`;
  try {
    writeText(temporary, JSON.stringify({ stamp: text, known }), 0o600);
    renameAt(null, temporary, null, cacheFile);
  } catch (error) {
    if (!isErrno(error, "ENOSPC", "EROFS")) throw error;
  }
}
