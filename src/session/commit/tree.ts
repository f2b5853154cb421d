import { E } from "../../kernel/abi/errno.ts";
import { O } from "../../kernel/abi/file.ts";
import { fail, type Name, stat, statFd, statName, takeAttr } from "../../kernel/at.ts";
import { unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import type { Attr } from "../../kernel/file.ts";
import { directoryOf, nameOf } from "../changes/names.ts";
import type { Entry } from "../../layer/attributes.ts";
import { openStrictly } from "../../layer/strict.ts";

/** So many directories are kept open. */
const most = 500;

/** What is at a path. */
export interface Found {
  readonly attr: Attr;
  /** chattr(1) has made it immutable or append-only. */
  readonly isProtected: boolean;
}

/** A tree that others may be changing meanwhile: paths are resolved by the kernel, strictly inside, one directory at a time. */
export class Tree implements Disposable {
  readonly root: Fd;
  readonly #open = new Map<Name, Fd>();

  constructor(root: Fd) {
    this.root = root;
  }

  /** The open directory that holds the path, and its name there; undefined where there is no such directory. */
  find(path: Name): Entry | undefined {
    if (path === "") return { fd: this.root.number, name: "" };
    const fd = this.directory(directoryOf(path));
    return fd === undefined ? undefined : { fd, name: nameOf(path) };
  }

  /** As find(), where it must be there. */
  get(path: Name): Entry {
    return this.find(path) ?? fail("open", path, -E.NOENT);
  }

  directory(path: Name): number | undefined {
    if (path === "") return this.root.number;
    const known = this.#open.get(path);
    if (known !== undefined) return known.number;
    const flags = O.RDONLY | O.DIRECTORY | O.NOFOLLOW;
    const opened = unless(["ENOENT", "ENOTDIR", "ELOOP"], () => openStrictly(this.root, path, flags));
    if (opened === undefined) return undefined;
    if (this.#open.size >= most) this.#closeOldest();
    this.#open.set(path, opened);
    return opened.number;
  }

  look(path: Name): Found | undefined {
    const entry = this.find(path);
    if (entry === undefined) return undefined;
    const result = entry.name === "" ? statFd(entry.fd) : statName(entry.fd, entry.name);
    if (result === -E.NOENT || result === -E.NAMETOOLONG) return undefined;
    if (result < 0) fail("stat", path, result);
    return { attr: takeAttr(), isProtected: stat.isProtected };
  }

  /** What the paths of directories mean has changed. */
  forget(): void {
    for (const fd of this.#open.values()) fd.close();
    this.#open.clear();
  }

  #closeOldest(): void {
    const [first] = this.#open;
    if (first === undefined) return;
    this.#open.delete(first[0]);
    first[1].close();
  }

  [Symbol.dispose](): void {
    this.forget();
    this.root.close();
  }
}

export function joinPath(directory: Name, name: Name): Name {
  return directory === "" ? name : name === "" ? directory : `${directory}/${name}`;
}

/** Whether a path is another one, or lies below it. */
export function isWithin(path: Name, directory: Name): boolean {
  return directory === "" || path === directory || path.startsWith(`${directory}/`);
}

/** The directories above a path, the nearest first, without the root. */
export function* ancestorsOf(path: Name): Generator<Name> {
  for (let above = directoryOf(path); above !== ""; above = directoryOf(above)) yield above;
}
