import { isErrno, unless } from "../kernel/error.ts";
import { findAt, openAt, readAll, renameAt, writeAll } from "../kernel/file.ts";
import { O, STATX_SIZE } from "../kernel/abi/file.ts";
import { statInto } from "../kernel/trusted.ts";
import { isUsers, places } from "../places.ts";

/**
 * What was found in hundreds of files, kept for the next one who asks. For the superuser alone, where only the superuser can write;
 * a file that was changed in any way, or another executable of ours, makes void what was kept of it.
 */

/** Fewer are read as fast as they are looked at. */
export const enoughFiles = 20;

/** Where no session was ever begun, there is no place yet that is ours alone. */
export function canKeep(): boolean {
  return !isUsers && findAt(null, places.run)?.isMountRoot === true;
}

/**
 * What tells that a file was changed, of struct statx by its 32-bit halves: owner, mode (and 16 bits that are nothing), inode, size,
 * times of change of the inode and of the content in seconds and nanoseconds, device.
 */
export const stampFields = [5, 7, 8, 9, 10, 11, 24, 25, 26, 28, 29, 30, 34, 35] as const;
/** Where those that say seconds lie behind the 1 of lookAtAll(). */
const [ctimePlace, mtimePlace] = [7, 10];
export const stampLength = stampFields.length + 1;

/** As lookAtAll() says it, of one file. */
export function stampOfFile(path: string): Uint32Array {
  const stamp = new Uint32Array(stampLength);
  if (!statInto(null, path, bytes)) return stamp;
  stamp[0] = 1;
  let place = 0;
  for (const field of stampFields) stamp[++place] = attributes[field] ?? 0;
  return stamp;
}

/**
 * The stamps of files, one behind the other, as areAsTheyWere() takes them.
 * @param isSettled settledBy(), from before anything was looked at
 * @returns undefined where one was changed so lately that nothing can be kept of them
 */
export function settledStamps(
  paths: readonly string[],
  isSettled: ReturnType<typeof settledBy>,
): readonly number[] | undefined {
  const stamps = paths.map(stampOfFile);
  return stamps.every((stamp) => isSettled(stamp, 0)) ? stamps.flatMap((stamp) => [...stamp]) : undefined;
}

/** Whether files are what they were when these stamps of theirs were taken, one behind the other. */
export function areAsTheyWere(paths: readonly string[], stamps: readonly number[]): boolean {
  let at = 0;
  for (const path of paths) {
    const stamp = stampOfFile(path);
    for (let part = 0; part < stampLength; part++) if (stamp[part] !== stamps[at++]) return false;
  }
  return true;
}

/** Of one file after the other: struct statx, and the same in bytes. */
const attributes = new Uint32Array(STATX_SIZE / 4);
const bytes = new Uint8Array(attributes.buffer);

/** A file that was changed in the same moment in which it was looked at might show the same times when it is changed again. */
const settledSeconds = 2;

/** @returns whether what is found in the file with this stamp can be kept; to be made before the stamps are taken */
export function settledBy(nowMs: number): (stamps: Uint32Array, at: number) => boolean {
  const latest = Math.floor(nowMs / 1000) - settledSeconds;
  return (stamps, at) => (stamps[at + ctimePlace] ?? 0) <= latest && (stamps[at + mtimePlace] ?? 0) <= latest;
}

/** When inode and content of what has this stamp were last changed: seconds, and the nanoseconds beyond. */
export function changesOf(stamp: Uint32Array): readonly (readonly [number, number])[] {
  return [ctimePlace, mtimePlace].map((place) => [stamp[place] ?? 0, stamp[place + 2] ?? 0]);
}

/** @returns undefined where nothing was kept by this name */
export function readKept(name: string): Buffer | undefined {
  const opened = unless(["ENOENT"], () => openAt(null, fileOf(name), O.RDONLY | O.NOFOLLOW));
  if (opened === undefined) return undefined;
  using file = opened;
  return readAll(file);
}

/** JSON that was kept; undefined where it is damaged. */
export function parseKept(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export function keep(name: string, data: Uint8Array): void {
  const temporary = `${fileOf(name)}.${process.pid}`;
  try {
    {
      using file = openAt(null, temporary, O.WRONLY | O.CREAT | O.TRUNC | O.NOFOLLOW, { mode: 0o600 });
      writeAll(file, data);
    }
    renameAt(null, temporary, null, fileOf(name));
  } catch (error) {
    if (!isErrno(error, "ENOSPC", "EROFS")) throw error;
  }
}

function fileOf(name: string): string {
  return `${places.run}/${name}`;
}
