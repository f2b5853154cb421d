import { UserError } from "../../error.ts";
import type { Name } from "../../kernel/at.ts";
import { verbatimArgument } from "../../kernel/own.ts";
import type { Attr } from "../../kernel/file.ts";

/** Paths as bytes, from the top of a tree, which is "". */

export function join(directory: Name, name: Name): Name {
  return directory === "" ? name : `${directory}/${name}`;
}

export function directoryOf(path: Name): Name {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

export function nameOf(path: Name): Name {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** In the order of a walk that goes through each directory's names as bytes. */
export function comparePaths(one: Name, other: Name): number {
  const [a, b] = [one.replaceAll("/", "\0"), other.replaceAll("/", "\0")];
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The same for all names of an inode. */
export function identityOf({ dev, ino }: Attr): string {
  return `${dev.major}:${dev.minor}:${ino}`;
}

/**
 * A path that somebody gave, absolute in the session; where it is one of our own arguments, by its bytes.
 * @throws {UserError} usage: it is empty, as an unset variable of a script is, which must not mean everything
 */
export function pathInSession(path: string): Name {
  if (path === "") throw new UserError("usage", "a PATH is empty", { hint: "/ is all of the session" });
  const names = Buffer.from(verbatimArgument(path))
    .toString("latin1")
    .split("/")
    .filter((name) => name !== "" && name !== ".");
  if (names.includes("..")) throw new UserError("usage", `${path}: give a path from the session's root, without ..`);
  return `/${names.join("/")}`;
}
