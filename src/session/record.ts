import { UserError } from "../error.ts";
import { O } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { linkAt, openAt, readFile, renameAt, statAt, sync, unlinkAt, writeAll } from "../kernel/file.ts";
import type { MountPlan } from "../mount/plan.ts";
import type { Begun } from "./begun.ts";
import { sessionDir } from "./paths.ts";
import type { RootFiles } from "./rootfiles.ts";
import { atTheirPlaces, type NotedRoots } from "./roots.ts";
import type { Limits, Network, Upper } from "./types.ts";

/** The layout of the record; a number greater than this was written by a newer Fallthru. */
const version = 1;

/** What is known of a session without its mounts: the first line of its record. */
export interface RecordSummary {
  readonly version: number;
  readonly id: string;
  readonly chroot: string;
  readonly createdMs: number;
  readonly expiresMs?: number;
  /** The session that it was forked from. */
  readonly forkedFrom?: string;
}

/** All that is needed to run in a session, and to mount it again: the record's second line. */
export interface RecordDetails {
  readonly upper: Upper;
  readonly network: Network;
  readonly hostname?: string;
  /** The user who may look at it from outside, besides the superuser. */
  readonly visitor?: number;
  readonly limits: Limits;
  readonly plan: MountPlan;
  /** What lies below, as it was when the session began; see roots.ts. */
  readonly roots?: NotedRoots;
  readonly unionOptions: readonly (readonly string[])[];
  readonly files: RootFiles;
  /** Of sessions that were begun by an older Fallthru nobody has noted it. */
  readonly begun?: Begun;
  readonly command: CommandDefaults;
  /** Of a fork: when the first of them was begun, since when what lies below may have been changed by others. */
  readonly baseMs?: number;
  /** There while a fork of it puts its layers in order: until that is finished the session isn't to be used. */
  readonly freezing?: Freezing;
}

/** What is still to be done, once or again, until the plan is true. */
export interface Freezing {
  /** All that is in the directory `from` goes to `to`. */
  readonly moves: readonly { readonly from: string; readonly to: string }[];
  /** The mount that the session's tree had before, where it had one. */
  readonly mountId?: number;
}

/** What the chroot's description says of every command that runs in it. */
export interface CommandDefaults {
  /** Put in front of the command. */
  readonly prefix: readonly string[];
  readonly shell?: string | undefined;
  readonly personality: string;
  readonly preserveEnvironment: boolean;
  /** Variables that match this extended regular expression don't reach the command. */
  readonly environmentFilter?: string | undefined;
}

export type SessionRecord = RecordSummary & RecordDetails;

/**
 * `record.json` is there exactly while the session is whole. An automatic session's has another name: its life is
 * its holder's.
 */
export type RecordKind = "named" | "automatic";

const fileNames: Readonly<Record<RecordKind, string>> = { named: "record.json", automatic: "automatic.json" };

/**
 * Writes the record to a temporary name, syncs and renames it: from this moment a named session exists.
 * An automatic one isn't synced: after a power cut it is gone anyway.
 */
export function writeRecord(dir: Fd, record: Omit<SessionRecord, "version">, kind: RecordKind): void {
  const temporary = `.${fileNames[kind]}.new`;
  writeRecordFile(dir, temporary, record, kind);
  renameAt(dir, temporary, dir, fileNames[kind]);
  if (kind === "named") sync(dir);
}

function writeRecordFile(dir: Fd, name: string, record: Omit<SessionRecord, "version">, kind: RecordKind): void {
  const { id, chroot, createdMs, expiresMs, forkedFrom, ...details } = record;
  const summary: RecordSummary = {
    version,
    id,
    chroot,
    createdMs,
    ...(expiresMs === undefined ? {} : { expiresMs }),
    ...(forkedFrom === undefined ? {} : { forkedFrom }),
  };
  const text = `${JSON.stringify(summary)}\n${JSON.stringify(details)}\n`;
  using file = openAt(dir, name, O.WRONLY | O.CREAT | O.TRUNC | O.NOFOLLOW, { mode: 0o600 });
  writeAll(file, Buffer.from(text));
  if (kind === "named") sync(file);
}

/** Writes a named session's record that placeRecord() only has to rename, for which even a full disk has room. */
export function stageRecord(dir: Fd, name: string, record: Omit<SessionRecord, "version">): void {
  writeRecordFile(dir, name, record, "named");
}

/** Puts a record that was staged in its place. */
export function placeRecord(dir: Fd, name: string): void {
  renameAt(dir, name, dir, fileNames.named);
  sync(dir);
}

/** Keeps the record that is there under another name, for placeRecord(). */
export function keepRecord(dir: Fd, name: string): void {
  unless(["ENOENT"], () => unlinkAt(dir, name));
  linkAt(dir, fileNames.named, dir, name);
}

/** Ends the session's existence, durably: what is deleted after it can't come back as half a session. */
export function removeRecord(dir: Fd): void {
  unless(["ENOENT"], () => unlinkAt(dir, fileNames.named));
  sync(dir);
}

/** Makes an automatic session one that stays: from this moment its life isn't its holder's any more. */
export function makeNamed(dir: Fd, record: Omit<SessionRecord, "version">): void {
  writeRecord(dir, record, "named");
  unless(["ENOENT"], () => unlinkAt(dir, fileNames.automatic));
  unmarkAsked(dir);
}

/** The same with the record as it is: a name that is changed needs no room on the disk. */
export function makeNamedAsItIs(dir: Fd): void {
  renameAt(dir, fileNames.automatic, dir, fileNames.named);
  sync(dir);
  unmarkAsked(dir);
}

/** There while somebody is asked what becomes of an automatic session, which then outlives its holder: only an answer discards it. */
const askedFile = "asked";

/** On a full disk it isn't: what there is has to be asked all the same. */
export function markAsked(dir: Fd): void {
  const make = () => openAt(dir, askedFile, O.WRONLY | O.CREAT | O.NOFOLLOW, { mode: 0o600 });
  unless(["ENOSPC", "EDQUOT"], make)?.close();
}

/** There is an answer. */
export function unmarkAsked(dir: Fd): void {
  unless(["ENOENT"], () => unlinkAt(dir, askedFile));
}

/** Makes a session that somebody was asked about, by a process that was killed, one that stays. */
export function keepAsked(dir: Fd): void {
  const isAsked = unless(["ENOENT"], () => statAt(dir, askedFile)) !== undefined;
  if (isAsked) makeNamedAsItIs(dir);
}

export function recordFileOf(id: string, kind: RecordKind): string {
  return `${sessionDir(id)}/${fileNames[kind]}`;
}

/** Which record is there, whatever it says; undefined where a session is half made or half gone. */
export function recordKind(id: string): RecordKind | undefined {
  const isThere = (kind: RecordKind) => unless(["ENOENT"], () => statAt(null, recordFileOf(id, kind))) !== undefined;
  return isThere("named") ? "named" : isThere("automatic") ? "automatic" : undefined;
}

export type ReadSummary = RecordSummary & { readonly kind: RecordKind };

/**
 * @param readLine how to read the first line of a file in a session's directory, undefined where there is none: for whoever reads
 * thousands of them
 */
export function readSummary(
  id: string,
  readLine: (id: string, name: string) => string | undefined = readFirstLine,
): ReadSummary | undefined {
  for (const kind of ["named", "automatic"] as const) {
    const line = readLine(id, fileNames[kind]);
    if (line !== undefined) return { ...parseSummary(id, line), kind };
  }
  return undefined;
}

function readFirstLine(id: string, name: string): string | undefined {
  return unless(["ENOENT"], () => readFile(`${sessionDir(id)}/${name}`))
    ?.toString("utf8")
    .split("\n", 1)[0];
}

/** With what lies below where it is now. */
export function readRecord(id: string): (SessionRecord & { readonly kind: RecordKind }) | undefined {
  const found = readText(id);
  if (found === undefined) return undefined;
  const [first = "", second = ""] = found.text.split("\n");
  const summary = parseSummary(id, first);
  const details = parseObject(id, second) as Partial<RecordDetails>;
  if (!Array.isArray(details.plan?.steps) || details.command === undefined) throw malformed(id);
  return atTheirPlaces({ ...summary, ...(details as RecordDetails), kind: found.kind });
}

function readText(id: string): { text: string; kind: RecordKind } | undefined {
  for (const kind of ["named", "automatic"] as const) {
    const content = unless(["ENOENT"], () => readFile(recordFileOf(id, kind)));
    if (content !== undefined) return { text: content.toString("utf8"), kind };
  }
  return undefined;
}

function parseSummary(id: string, line: string): RecordSummary {
  const summary = parseObject(id, line) as RecordSummary;
  if (summary.version > version) {
    throw new UserError("newer", `session ${id} was begun by a newer Fallthru (record version ${summary.version})`, {
      hint: `this one knows version ${version}: end the session with the newer one, or upgrade`,
    });
  }
  if (summary.version !== version || summary.id !== id) throw malformed(id);
  return summary;
}

function parseObject(id: string, line: string): object {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null) return value;
  } catch (error) {
    throw malformed(id, error);
  }
  throw malformed(id);
}

function malformed(id: string, cause?: unknown): UserError {
  return new UserError("data", `the record of session ${id} is damaged`, {
    hint: `its changes are below ${sessionDir(id)}; end it: fallthru end ${id}`,
    cause,
  });
}
