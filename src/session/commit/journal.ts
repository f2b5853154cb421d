import { readdirSync } from "node:fs";
import { UserError } from "../../error.ts";
import { O } from "../../kernel/abi/file.ts";
import type { Name } from "../../kernel/at.ts";
import { isErrno, unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import {
  makeDirectoryAt,
  openAt,
  openDirectory,
  readAll,
  renameAt,
  statAt,
  sync,
  unlinkAt,
  writeAll,
} from "../../kernel/file.ts";
import { removeTree } from "../../layer/remove.ts";
import { commitsDir } from "../paths.ts";
import { doItAgain, explainFull } from "../state.ts";
import type { Pair } from "./relocated.ts";

/** The layout of a journal; a number greater than this was written by a newer Fallthru. */
const version = 1;

/** An extended attribute's value in hexadecimal; null: there is none. */
export type Xattrs = readonly (readonly [name: Name, value: string | null])[];

/** What a change of attributes sets. Times are nanoseconds, as digits. */
export interface Facts {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly atime: string;
  readonly mtime: string;
  readonly xattrs: Xattrs;
}

/**
 * One step in the target. `name` is in the area, where what is to come waits and what was there is kept; inodes are named by
 * number, so that each step can tell whether it was done.
 */
export type Move =
  /** Takes an entry away; `path` is as it was before the commit, `to` where it comes in again. */
  | { readonly kind: "out"; readonly name: string; readonly path: Name; readonly ino: string; readonly to?: Name }
  | { readonly kind: "in"; readonly name: string; readonly path: Name; readonly ino: string; readonly from?: Name }
  /** Lets the new inode and the old one change places. */
  | { readonly kind: "swap"; readonly name: string; readonly path: Name; readonly ino: string; readonly old: string }
  /** A further name in the area for the inode at `of`, for the place `path`. */
  | { readonly kind: "link"; readonly name: string; readonly of: Name; readonly path: Name; readonly ino: string };

/** Attributes that are changed where they are. */
export interface AttributeChange {
  readonly path: Name;
  /** Where it was before the commit; undefined: nowhere. */
  readonly was?: Name;
  readonly ino: string;
  readonly isDirectory: boolean;
  /** "times": of a directory in which only names come or go. */
  readonly what: "all" | "times";
  readonly before?: Facts;
  /** Undefined: left as it becomes by itself. */
  readonly after?: Facts;
}

/** What is done to one target. */
export interface Part {
  readonly target: string;
  readonly area: string;
  readonly moves: readonly Move[];
  readonly attributes: readonly AttributeChange[];
  /** The directories among them that are renamed. */
  readonly moved: readonly Pair[];
  /** Of the session's directories those that lay elsewhere below and now lie where they are, though none was renamed. */
  readonly relocated: readonly Pair[];
}

/** A redirect of a directory in the session's upper, which says where it lies below. Null: none. */
export interface Mark {
  readonly path: Name;
  readonly attribute: Name;
  readonly before: Name | null;
  readonly after: Name | null;
}

export interface Marks {
  readonly upper: string;
  readonly marks: readonly Mark[];
}

export type Letter = "A" | "D" | "M" | "R" | "T";

/** A change, as the log has it. */
export interface Logged {
  readonly letter: Letter;
  /** From the session's root. */
  readonly path: Name;
  readonly from?: Name;
}

/** What is known of a commit from its first moment. */
export interface Header {
  readonly version: number;
  readonly id: string;
  readonly session: string;
  /** When the session was begun: another may have its name by now. */
  readonly sessionMs: number;
  readonly chroot: string;
  readonly createdMs: number;
  readonly user: string;
  readonly targets: readonly string[];
  readonly areas: readonly string[];
  /** How many changes there are. */
  readonly count: number;
}

/** All that is to be done; from the moment that it is there, it is done. */
export interface Body {
  /** When it was begun, by the clock of file systems; see Window. */
  readonly begun: string;
  readonly changes: readonly Logged[];
  readonly parts: readonly Part[];
  readonly marks: readonly Marks[];
}

/** When the target was worked on: nanoseconds of its file system's clock, as digits; `to` is after the last step. */
export interface Window {
  readonly from: string;
  readonly to: string;
}

/** What is settled before an undo begins: also which directories keep their times, by their index in each part. */
export interface UndoPlan {
  readonly begun: string;
  readonly createdMs: number;
  readonly user: string;
  readonly keepTimes: readonly (readonly number[])[];
  readonly marks: readonly Marks[];
}

/**
 * The files of a journal, each of which is renamed into place whole and synced: `plan` is there before anything is made,
 * `journal` says that the commit will be done, `done` that it is; `undo` and `undone` likewise. `forgotten`: what it needs to
 * be undone was given up. `back`: it met an error, and was taken back as far as it was done; only when that was still counts.
 */
type FileName = "plan" | "journal" | "done" | "undo" | "undone" | "forgotten" | "back";

export type State = "planned" | "committing" | "committed" | "undoing" | "undone" | "forgotten" | "back";

/** One commit can't be read; it says nothing of the others. */
export class BrokenJournal extends UserError {}

/** A commit on disk. */
export class Journal {
  readonly id: string;

  constructor(id: string) {
    this.id = id;
  }

  get path(): string {
    return `${commitsDir}/${this.id}`;
  }

  #open(): Fd {
    return openDirectory(this.path);
  }

  has(name: FileName): boolean {
    return unless(["ENOENT"], () => statAt(null, `${this.path}/${name}`)) !== undefined;
  }

  write(name: FileName, data: unknown): void {
    explainFull(commitsDir, () => this.#write(name, data), doItAgain);
  }

  #write(name: FileName, data: unknown): void {
    using dir = this.#open();
    const temporary = `.${name}.new`;
    {
      // What was reserved is written over: behind JSON there may be blanks.
      const fresh = ["done", "undone", "back"].includes(name) ? 0 : O.TRUNC;
      using file = openAt(dir, temporary, O.WRONLY | O.CREAT | O.NOFOLLOW | fresh, { mode: 0o600 });
      writeAll(file, Buffer.from(`${JSON.stringify(data)}\n`));
      sync(file);
    }
    renameAt(dir, temporary, dir, name);
    sync(dir);
  }

  /** Takes the space that write() will need, so that a full disk is met before there is anything to finish. */
  reserve(...names: readonly ("done" | "undone" | "back")[]): void {
    const blanks = Buffer.alloc(512, 0x20);
    explainFull(
      commitsDir,
      () => {
        using dir = this.#open();
        for (const name of names) {
          using file = openAt(dir, `.${name}.new`, O.WRONLY | O.CREAT | O.NOFOLLOW, { mode: 0o600 });
          writeAll(file, blanks);
          sync(file);
        }
      },
      doItAgain,
    );
  }

  remove(name: FileName): void {
    using dir = this.#open();
    unless(["ENOENT"], () => unlinkAt(dir, name));
    sync(dir);
  }

  /** @param isWhole what it can't do without */
  #read<T extends object>(name: FileName, isWhole: (read: Partial<T>) => boolean): T {
    try {
      using file = openAt(null, `${this.path}/${name}`, O.RDONLY | O.NOFOLLOW);
      const read = JSON.parse(readAll(file, statAt(file).size).toString("utf8")) as Partial<T> | null;
      if (typeof read === "object" && read !== null && isWhole(read)) return read as T;
    } catch (error) {
      if (!(error instanceof SyntaxError) && !isErrno(error, "ENOENT", "ELOOP", "EIO", "EUCLEAN")) throw error;
      throw this.#damaged(name, error);
    }
    throw this.#damaged(name);
  }

  #damaged(name: FileName, cause?: unknown): BrokenJournal {
    return new BrokenJournal("data", `the journal ${this.path}/${name} is damaged`, {
      hint: `nothing was touched; what that commit has replaced is still kept. To go on without it: mv ${this.path} /root`,
      cause,
    });
  }

  /** @throws {BrokenJournal} as all that read it */
  header(): Header {
    const header = this.#read<Header>("plan", (read) => typeof read.version === "number");
    if (header.version > version) {
      const message = `commit ${this.id} was made by a newer Fallthru (journal version ${header.version})`;
      throw new BrokenJournal("newer", message, { hint: `this one knows version ${version}: use the newer one` });
    }
    const { areas, targets, createdMs } = header as Partial<Header>;
    if (Array.isArray(areas) && Array.isArray(targets) && typeof createdMs === "number") return header;
    throw this.#damaged("plan");
  }

  body(): Body {
    return this.#read<Body>("journal", ({ changes, parts, marks }) => [changes, parts, marks].every(Array.isArray));
  }

  window(name: "done" | "undone" | "back"): Window {
    const isTime = (text: string | undefined): boolean => /^\d+$/.test(text ?? "");
    return this.#read<Window>(name, ({ from, to }) => isTime(from) && isTime(to));
  }

  undoPlan(): UndoPlan {
    return this.#read<UndoPlan>("undo", ({ keepTimes, marks }) => [keepTimes, marks].every(Array.isArray));
  }

  /** When its last file was written, as far as the file system knows. */
  changedMs(): number {
    return Number(statAt(null, this.path).mtimeNs / 1_000_000n);
  }

  state(): State {
    if (this.has("back")) return "back";
    if (this.has("undone")) return "undone";
    if (this.has("undo")) return "undoing";
    if (this.has("forgotten")) return "forgotten";
    if (this.has("done")) return "committed";
    return this.has("journal") ? "committing" : "planned";
  }

  /** Deletes it, where nothing came of it. */
  delete(): void {
    using dir = openDirectory(commitsDir);
    removeTree(dir, this.id);
    sync(dir);
  }
}

export function prepareCommits(): void {
  unless(["EEXIST"], () => makeDirectoryAt(null, commitsDir, 0o700));
}

/** Makes a journal with its plan on the disk: whatever is made after it is found by it. */
export function makeJournal(header: Omit<Header, "version">): Journal {
  explainFull(commitsDir, () => makeDirectoryAt(null, `${commitsDir}/${header.id}`, 0o700), doItAgain);
  const journal = new Journal(header.id);
  try {
    using dir = openDirectory(commitsDir);
    sync(dir);
    journal.write("plan", { version, ...header });
    return journal;
  } catch (error) {
    journal.delete();
    throw error;
  }
}

/** All that are whole enough to be read, also those that a killed process left, in no order. */
export function journalIds(): string[] {
  try {
    return readdirSync(commitsDir).filter((name) => /^[0-9a-f]{8}$/.test(name));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}
