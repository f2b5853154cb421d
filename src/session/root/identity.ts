import { readFileSync, writeFileSync } from "node:fs";
import { UserError } from "../../error.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { type Attr, isDirectory, renameAt, sync } from "../../kernel/file.ts";

/** In the session's directory: what the session's copy was made of, and what has since been made of that. */
const fileName = "made-of";

/** A subvolume is a device of its own. */
function identityOf(attr: Attr): string {
  const { dev, ino, size, mtimeNs } = attr;
  return isDirectory(attr) ? `${dev.major}:${dev.minor} ${ino}` : `${ino} ${size} ${mtimeNs}`;
}

/** Notes down which file or subvolume the copy is of, beside those that were noted before. */
export function noteIdentity(dir: Fd, attr: Attr): void {
  const temporary = `.${fileName}.new`;
  writeFileSync(`${dir.procPath}/${temporary}`, `${read(dir)}${identityOf(attr)}\n`, { mode: 0o600 });
  renameAt(dir, temporary, dir, fileName);
  sync(dir);
}

/** @throws {UserError} busy, where something else is in its place now: what that has more would be lost */
export function refuseChanged(dir: Fd, attr: Attr, path: string): void {
  if (read(dir).split("\n").includes(identityOf(attr))) return;
  throw new UserError("busy", `${path} was changed by somebody else since this session began`, {
    hint: "nothing of this session is kept there; save what you need, then give it up: fallthru end --force",
  });
}

function read(dir: Fd): string {
  return unless(["ENOENT"], () => readFileSync(`${dir.procPath}/${fileName}`, "utf8")) ?? "";
}
