import type { MadeRoot } from "../../chroot/types.ts";
import { UserError } from "../../error.ts";
import { O } from "../../kernel/abi/file.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { findAt, openAt, readAll, renameAt, sync, writeAll } from "../../kernel/file.ts";
import { sessionDir } from "../paths.ts";
import { findReplaced, type RootIdentity } from "../roots.ts";
import type { UnionChoice } from "../types.ts";

/** What a session's root is to it. */
export type RootAccess =
  | "lower" // read only: a union lies over it
  | "write" // the root itself: the session changes it for good
  | "copy"; // the session's own

/**
 * What a session has made for its root, on the disk before it is made: whoever ends the session, or clears it away, finds
 * here what to take down, and whoever mounts it again what to put up.
 */
export interface RootNote {
  readonly root: MadeRoot;
  readonly access: RootAccess;
  /** Unique on the machine: what is made outside of the session's directory is called so. */
  readonly name: string;
  /** Where the session's layers are. */
  readonly base: string;
  /** Of an image: which file it is; see roots.ts. */
  readonly identity?: RootIdentity;
}

/** How a session has its root. */
export function accessOf(root: MadeRoot, union: UnionChoice, isSource: boolean): RootAccess {
  if (root.kind !== "image" && root.kind !== "device") return isSource ? "write" : "copy";
  return union === "none" ? "write" : "lower";
}

const fileName = "root.json";

export function noteFileOf(id: string): string {
  return `${sessionDir(id)}/${fileName}`;
}

export function writeNote(dir: Fd, note: RootNote): void {
  const temporary = `.${fileName}.new`;
  {
    using file = openAt(dir, temporary, O.WRONLY | O.CREAT | O.TRUNC | O.NOFOLLOW, { mode: 0o600 });
    writeAll(file, Buffer.from(JSON.stringify(note)));
    sync(file);
  }
  renameAt(dir, temporary, dir, fileName);
  sync(dir);
}

/** Undefined for a session whose root is just a directory. An image is where it is now. */
export function readNote(dir: Fd): RootNote | undefined {
  const note = readAsWritten(dir);
  if (note?.root.kind !== "image" || note.identity === undefined) return note;
  const replaced = findReplaced(note.identity);
  return replaced === undefined ? note : { ...note, root: { ...note.root, file: replaced.old } };
}

function readAsWritten(dir: Fd): RootNote | undefined {
  // Nearly always, and no error is made of it.
  if (findAt(dir, fileName) === undefined) return undefined;
  const opened = unless(["ENOENT"], () => openAt(dir, fileName, O.RDONLY | O.NOFOLLOW));
  if (opened === undefined) return undefined;
  using file = opened;
  try {
    return JSON.parse(readAll(file).toString("utf8")) as RootNote;
  } catch (error) {
    throw new UserError("data", `${dir.path}/${fileName} is damaged`, {
      hint: "it says what the session's root was made of: look for a snapshot of its name, then delete the file",
      cause: error,
    });
  }
}
