import { O } from "../../kernel/abi/file.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { openAt, readAll, renameAt, statAt, unlinkAt, writeAll } from "../../kernel/file.ts";
import type { Credentials } from "../../kernel/process.ts";
import { unsavedFile } from "../paths.ts";
import type { PassingHome } from "./files.ts";

/**
 * Stands in a session's directory while nobody has said what is to become of a person's files in it: from when somebody logs in who
 * is to be asked until they have answered. Whoever ends the session then saves the files first; see rescueHome().
 */
export interface Unsaved {
  readonly home: Pick<PassingHome, "path" | "kind">;
  readonly person: Credentials;
  /** When somebody first tried to save them: they have a directory by this name. Milliseconds since 1970. */
  readonly triedMs?: number;
  /** Why that failed. */
  readonly reason?: string;
}

/** @param dir the session's directory */
export function writeUnsaved(dir: Fd, { home, person, ...tried }: Unsaved): void {
  const { uid, gid, groups } = person;
  const text = JSON.stringify({ home, person: { uid, gid, groups }, ...tried });
  const draft = `.${unsavedFile}.new`;
  {
    using file = openAt(dir, draft, O.WRONLY | O.CREAT | O.TRUNC | O.NOFOLLOW, { mode: 0o600 });
    writeAll(file, Buffer.from(text));
  }
  renameAt(dir, draft, dir, unsavedFile);
}

/** @returns undefined where nobody need save anything; only the superuser can have written what is there */
export function readUnsaved(dir: Fd): Unsaved | undefined {
  const found = unless(["ENOENT"], () => openAt(dir, unsavedFile, O.RDONLY | O.NOFOLLOW));
  if (found === undefined) return undefined;
  using file = found;
  return JSON.parse(readAll(file, statAt(file).size).toString("utf8")) as Unsaved;
}

export function forgetUnsaved(dir: Fd): void {
  unless(["ENOENT"], () => {
    unlinkAt(dir, unsavedFile);
  });
}
