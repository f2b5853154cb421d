import {
  canKeep,
  enoughFiles,
  keep,
  readKept,
  settledBy,
  stampFields,
  stampLength,
  stampOfFile,
} from "../chroot/kept.ts";
import { unless } from "../kernel/error.ts";
import { openDirectory } from "../kernel/file.ts";
import { entriesOf, lookAtAll, namesAmong } from "../kernel/trusted.ts";
import { schrootSessions, sessionsDir } from "./paths.ts";
import { readSchrootFile } from "./schrootfile.ts";

/** What a file says: of a session of ours, of a real schroot's, or nothing that anybody understands. */
export type Verdict = "ours" | "theirs" | "nothing";

/**
 * The sessions that there are, by schroot's files, in no order: for who lists them. Each file is read once, and then only looked at
 * until it is changed.
 * @param judge reads what a file says of the session `id`
 */
export function listSchrootSessions(judge: (id: string, text: string) => Verdict): string[] {
  const verdicts = judgeAll(judge);
  const own = ownNames();
  const found: string[] = [];
  for (const [id, verdict] of verdicts) if (verdict === "theirs" || (verdict === "ours" && own.has(id))) found.push(id);
  return found;
}

function ownNames(): Set<string> {
  using dir = unless(["ENOENT", "EACCES"], () => openDirectory(sessionsDir));
  return new Set(dir === undefined ? [] : namesAmong(entriesOf(dir)));
}

function judgeAll(judge: (id: string, text: string) => Verdict): Map<string, Verdict> {
  const verdicts = new Map<string, Verdict>();
  using dir = unless(["ENOENT", "ENOTDIR", "EACCES"], () => openDirectory(schrootSessions));
  if (dir === undefined) return verdicts;
  const isSettled = settledBy(Date.now());
  const entries = entriesOf(dir);
  const names = namesAmong(entries);
  // Before any is read: what is changed meanwhile is seen by the next one.
  const how = { fields: stampFields, links: "as they are" } as const;
  const stamps = names.length >= enoughFiles && canKeep() ? lookAtAll(dir, entries, how) : undefined;
  const known = stamps === undefined ? undefined : Judged.read();
  let isNew = names.length !== known?.names.length;
  for (const [index, name] of names.entries()) {
    const before = stamps === undefined ? undefined : known?.verdictOf(name, stamps, index * stampLength);
    isNew ||= before === undefined;
    const text = before === undefined ? readSchrootFile(name) : undefined;
    verdicts.set(name, before ?? (text === undefined ? "nothing" : judge(name, text)));
  }
  if (stamps !== undefined && isNew) {
    // One that was just changed is to be read again: what is kept of it is no stamp that a file can have.
    for (let at = 0; at < stamps.length; at += stampLength) if (!isSettled(stamps, at)) stamps[at] = 2;
    keepJudged({ names, verdicts: [...verdicts.values()] }, stamps);
  }
  return verdicts;
}

const keptName = "schroot-sessions.json";

interface Kept {
  readonly names: readonly string[];
  /** In the order of the names, as the stamps are. */
  readonly verdicts: readonly Verdict[];
}

/** What was found in files, and how they were then. */
class Judged {
  readonly names: readonly string[];
  readonly #kept: Kept;
  readonly #stamps: Uint32Array;
  #places: Map<string, number> | undefined;

  constructor(kept: Kept, stamps: Uint32Array) {
    this.names = kept.names;
    this.#kept = kept;
    this.#stamps = stamps;
  }

  static read(): Judged | undefined {
    const file = readKept(keptName);
    const own = new Uint8Array(stampOfFile(process.execPath).buffer);
    // With another executable of ours what was kept may mean something else.
    if (file === undefined || file.length < own.length || file.compare(own, 0, own.length, 0, own.length) !== 0)
      return undefined;
    const end = file.indexOf(newline, own.length);
    try {
      const kept = JSON.parse(file.toString("utf8", own.length, end)) as Kept;
      const start = file.byteOffset + end + 1;
      const stamps = new Uint32Array(file.buffer.slice(start, start + file.length - end - 1));
      return stamps.length === kept.names.length * stampLength ? new Judged(kept, stamps) : undefined;
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof RangeError) return undefined;
      throw error;
    }
  }

  /** Undefined where the file isn't what it was, or was just changed. */
  verdictOf(name: string, stamps: Uint32Array, at: number): Verdict | undefined {
    // Mostly the directory is what it was, and each name in its place.
    const inPlace = at / stampLength;
    const index = this.names[inPlace] === name ? inPlace : this.#find(name);
    if (index === undefined) return undefined;
    for (let field = 0; field < stampLength; field++)
      if (stamps[at + field] !== this.#stamps[index * stampLength + field]) return undefined;
    return this.#kept.verdicts[index];
  }

  #find(name: string): number | undefined {
    this.#places ??= new Map(this.names.map((each, index) => [each, index]));
    return this.#places.get(name);
  }
}

const newline = 0x0a;

function keepJudged(kept: Kept, stamps: Uint32Array): void {
  const parts = [stampOfFile(process.execPath), stamps].map(({ buffer }) => new Uint8Array(buffer));
  const [own = new Uint8Array(), all = new Uint8Array()] = parts;
  keep(keptName, Buffer.concat([own, Buffer.from(`${JSON.stringify(kept)}\n`), all]));
}
