import { unless } from "../kernel/error.ts";
import { openDirectory } from "../kernel/file.ts";
import { entriesOf, lookAtAll } from "../kernel/trusted.ts";
import { configDirectory } from "./files.ts";
import {
  canKeep,
  enoughFiles,
  keep,
  parseKept,
  readKept,
  settledBy,
  stampFields,
  stampLength,
  stampOfFile,
} from "./kept.ts";
import type { Problem } from "./problem.ts";

/** What was found in hundreds of descriptions: to read and check 500 takes 30 ms, to see that none was changed 2. */
export interface Known {
  readonly overview: Overview;
  readonly files: NamedFiles;
}

/** What a list shows; names are sorted. */
export interface Overview {
  readonly names: readonly string[];
  readonly aliases: readonly string[];
  /** The names, and the aliases, of those that have a `source:` too. */
  readonly sources: readonly string[];
  readonly sourceAliases: readonly string[];
  readonly plain: readonly string[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** The files that describe a name or alias; undefined where something is wrong anywhere, which may concern any name. */
export type NamedFiles = Readonly<Record<string, readonly string[]>> | undefined;

const keptName = "chroots.json";

/** The state of the descriptions, as far as anything can be known of it. */
export interface Stamp {
  readonly bytes: Buffer;
  /** Whether what is found after it was taken can be kept. */
  readonly isSettled: boolean;
}

/** To be taken before the descriptions are read. @returns undefined where nothing is kept */
export function stampOf(directory: string): Stamp | undefined {
  if (directory !== configDirectory || !canKeep()) return undefined;
  const opened = unless(["ENOENT", "ENOTDIR"], () => openDirectory(`${directory}/chroot.d`));
  if (opened === undefined) return undefined;
  using dir = opened;
  const isSettled = settledBy(Date.now());
  const entries = entriesOf(dir);
  // An entry is at least 24 bytes long.
  if (entries.length < enoughFiles * 24) return undefined;
  const seen = lookAtAll(dir, entries, { fields: stampFields, links: "followed" });
  const count = seen.length / stampLength;
  if (count < enoughFiles) return undefined;
  const main = stampOfFile(`${directory}/schroot.conf`);
  let isAllSettled = isSettled(main, 0);
  for (let at = 0; isAllSettled && at < seen.length; at += stampLength) isAllSettled = isSettled(seen, at);
  // The length stands in front of all; with another executable of ours what was kept may mean something else.
  const parts = [new Uint32Array(1), stampOfFile(process.execPath), main, seen];
  const bytes = Buffer.concat([...parts.map(({ buffer }) => new Uint8Array(buffer)), entries]);
  bytes.writeUInt32LE(bytes.length, 0);
  return { bytes, isSettled: isAllSettled };
}

/** What was kept of descriptions that are still what they were then: only the part that is asked for is parsed. */
export function readKnown<T extends keyof Known>(
  { bytes }: Stamp,
  part: T,
): { readonly [part in T]: Known[T] } | undefined {
  const kept = readKept(keptName);
  if (kept === undefined || kept.length < bytes.length || bytes.compare(kept, 0, bytes.length) !== 0) return undefined;
  const end = kept.indexOf(newline, bytes.length);
  const text = part === "overview" ? kept.toString("utf8", bytes.length, end) : kept.toString("utf8", end + 1);
  return parseKept(text) as { readonly [part in T]: Known[T] } | undefined;
}

const newline = 0x0a;

export function keepKnown({ bytes }: Stamp, { overview, files }: Known): void {
  const text = `${JSON.stringify({ overview })}\n${JSON.stringify({ files })}`;
  keep(keptName, Buffer.concat([bytes, Buffer.from(text)]));
}
