import * as fs from "node:fs";
import { attributeName, listXattrs, removeXattr, setXattrOf } from "../../src/kernel/io.ts";
import { errnoName } from "../../src/kernel/error.ts";
import { mknodName, renameName } from "../../src/kernel/at.ts";
import type { Fd } from "../../src/kernel/fd.ts";
import { cloneMount, makeMount, type MountOption } from "../../src/kernel/mount.ts";
import { openDirectory } from "../../src/kernel/file.ts";
import { type Change, random, randomChanges } from "./changes.ts";
import { temporaryDirectory } from "./directories.ts";
import type { Union } from "../../src/union/union.ts";

function codeOf(error: unknown): string {
  if (error instanceof Error && "errno" in error && typeof error.errno === "string") return error.errno;
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  throw error;
}

function attempt(call: () => void): string {
  try {
    call();
    return "ok";
  } catch (error) {
    return codeOf(error);
  }
}

function checked(result: number): void {
  if (result < 0) throw Object.assign(new Error("call"), { code: errnoName(-result) });
}

/** Applies a change to a tree that the kernel shows at `root`. */
export function applyToPath(root: string, change: Change): string {
  const path = `${root}/${change.path}`;
  return attempt(() => {
    switch (change.kind) {
      case "write": {
        const fd = fs.openSync(
          path,
          fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NONBLOCK | fs.constants.O_NOFOLLOW,
          0o644,
        );
        try {
          fs.writeSync(fd, change.text, change.at);
        } finally {
          fs.closeSync(fd);
        }
        return;
      }
      case "truncate": {
        const fd = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOFOLLOW);
        try {
          fs.ftruncateSync(fd, change.size);
        } finally {
          fs.closeSync(fd);
        }
        return;
      }
      case "mkdir":
        return fs.mkdirSync(path, 0o755);
      case "rmdir":
        return fs.rmdirSync(path);
      case "unlink":
        return fs.unlinkSync(path);
      case "fifo":
        return checked(makeFifo(path));
      case "symlink":
        return fs.symlinkSync(change.target, path);
      case "link":
        return fs.linkSync(path, `${root}/${change.to}`);
      case "rename":
        return fs.renameSync(path, `${root}/${change.to}`);
      case "exchange":
        return checked(renameName(-100, path, -100, `${root}/${change.to}`, 2));
      case "chmod":
        if (fs.lstatSync(path).isSymbolicLink()) return undefined;
        return fs.chmodSync(path, change.mode);
      case "chown":
        return fs.lchownSync(path, change.uid, change.gid);
      case "utimes":
        return fs.lutimesSync(path, change.seconds, change.seconds);
      case "setxattr":
        return checked(setXattrOf(...place(path), attributeName(change.name), Buffer.from("v")));
      case "removexattr":
        return checked(removeXattr(...place(path), attributeName(change.name)));
      default:
        throw new Error("no such change");
    }
  });
}

/** Applies as many random changes, the same for each seed, to a tree that the kernel shows. */
export function changeRandomly(path: string, seed: number, count: number): void {
  using root = openDirectory(path);
  for (const one of randomChanges(random(seed), count)) applyToPath(root.procPath, one);
}

/** For calls that name a descriptor and a name below it: any descriptor does for an absolute path behind it. */
function place(path: string): [number, string] {
  const match = /^\/proc\/self\/fd\/(\d+)\/(.*)$/.exec(path);
  if (match === null) throw new Error(`${path} is not below a descriptor`);
  return [Number(match[1]), match[2] ?? ""];
}

function makeFifo(path: string): number {
  return mknodName(-100, path, 0o010644, 0n);
}

const asRoot = { uid: 0, gid: 0 };

/** A union, driven by paths. */
export class UnionTree {
  readonly union: Union;
  /** References to give back after the change. */
  readonly #held: number[] = [];

  constructor(union: Union) {
    this.union = union;
  }

  resolve(path: string): number {
    let nodeid = 1;
    for (const name of path === "" ? [] : path.split("/")) {
      const entry = this.union.lookup(nodeid, Buffer.from(name, "latin1"));
      if (entry === undefined) throw Object.assign(new Error(path), { code: "ENOENT" });
      nodeid = entry.nodeid;
      this.#held.push(nodeid);
    }
    return nodeid;
  }

  end(path: string): { parent: number; name: Buffer } {
    const at = path.lastIndexOf("/");
    return { parent: this.resolve(path.slice(0, Math.max(0, at))), name: Buffer.from(path.slice(at + 1), "latin1") };
  }

  letGo(): void {
    for (const nodeid of this.#held.splice(0).toReversed()) this.union.forget(nodeid, 1);
  }

  apply(change: Change): string {
    const result = attempt(() => this.#apply(change));
    this.letGo();
    return result;
  }

  #apply(change: Change): void {
    const { union } = this;
    const type = (nodeid: number): number => union.getattr(nodeid).mode & 0o170000;
    switch (change.kind) {
      case "write": {
        const { parent, name } = this.end(change.path);
        const known = union.lookup(parent, name);
        let handle: number;
        if (known === undefined) {
          const made = union.create(parent, name, 0o644, 2, asRoot);
          this.#held.push(made.nodeid);
          handle = made.handle;
        } else {
          this.#held.push(known.nodeid);
          if (type(known.nodeid) === 0o120000) throw Object.assign(new Error("link"), { code: "ELOOP" });
          if (type(known.nodeid) === 0o010000) throw Object.assign(new Error("fifo"), { code: "ESPIPE" });
          handle = union.open(known.nodeid, 2);
        }
        union.write(handle, Buffer.from(change.text), change.at);
        union.release(handle);
        return;
      }
      case "truncate": {
        const nodeid = this.resolve(change.path);
        if (type(nodeid) === 0o120000) throw Object.assign(new Error("link"), { code: "ELOOP" });
        union.setattr(nodeid, { size: change.size });
        return;
      }
      case "mkdir":
      case "fifo":
      case "symlink": {
        const { parent, name } = this.end(change.path);
        const entry =
          change.kind === "mkdir"
            ? union.mkdir(parent, name, 0o755, asRoot)
            : change.kind === "fifo"
              ? union.mknod(parent, name, 0o010644, { major: 0, minor: 0 }, asRoot)
              : union.symlink(parent, name, Buffer.from("target" in change ? change.target : ""), asRoot);
        this.#held.push(entry.nodeid);
        return;
      }
      case "rmdir":
      case "unlink": {
        const { parent, name } = this.end(change.path);
        if (change.kind === "rmdir") union.rmdir(parent, name);
        else union.unlink(parent, name);
        return;
      }
      case "link": {
        const nodeid = this.resolve(change.path);
        const { parent, name } = this.end(change.to);
        this.#held.push(union.link(nodeid, parent, name).nodeid);
        return;
      }
      case "rename":
      case "exchange": {
        const [from, to] = [this.end(change.path), this.end(change.to)];
        union.rename(from.parent, from.name, to.parent, to.name, change.kind === "rename" ? "replace" : "exchange");
        return;
      }
      case "chmod": {
        const nodeid = this.resolve(change.path);
        if (type(nodeid) !== 0o120000) union.setattr(nodeid, { mode: change.mode });
        return;
      }
      case "chown":
        union.setattr(this.resolve(change.path), { uid: change.uid, gid: change.gid });
        return;
      case "utimes": {
        const time = { seconds: change.seconds, nsec: 0 };
        union.setattr(this.resolve(change.path), { atime: time, mtime: time });
        return;
      }
      case "setxattr":
        union.setxattr(this.resolve(change.path), Buffer.from(change.name), Buffer.from("v"), 0);
        return;
      case "removexattr":
        union.removexattr(this.resolve(change.path), Buffer.from(change.name));
        return;
      default:
        throw new Error("no such change");
    }
  }

  /** One line for each entry, and what st_ino each has. */
  dump(inos = new Map<string, number>()): string[] {
    const lines: string[] = [];
    const groups = new Map<number | bigint, string>();
    const walk = (nodeid: number, path: string): number => {
      const listing = this.union.readdir(nodeid);
      const entries = listing.names
        .map((name, at) => ({ name, ino: listing.inos[at] ?? 0, type: listing.types[at] ?? 0 }))
        .filter(({ name }) => name !== "." && name !== "..");
      entries.sort((a, b) => (a.name < b.name ? -1 : 1));
      for (const { name, ino, type } of entries) {
        const below = path === "" ? name : `${path}/${name}`;
        const entry = this.union.lookup(nodeid, Buffer.from(name, "latin1"));
        if (entry === undefined) {
          lines.push(`${below} listed, but not there`);
          continue;
        }
        const { attr } = entry;
        if (attr.ino !== ino || attr.mode >> 12 !== type)
          lines.push(`${below} listed as ${ino}/${type}, is ${attr.ino}/${attr.mode >> 12}`);
        inos.set(below, attr.ino);
        lines.push(this.#line(entry.nodeid, below, attr, groups));
        if (type === 4) {
          const subdirectories = walk(entry.nodeid, below);
          if (attr.nlink !== 2 + subdirectories)
            lines.push(`${below} has nlink ${attr.nlink}, ${subdirectories} directories`);
        }
        this.union.forget(entry.nodeid, 1);
      }
      return entries.filter(({ type }) => type === 4).length;
    };
    walk(1, "");
    return lines;
  }

  #line(
    nodeid: number,
    path: string,
    attr: { mode: number; uid: number; gid: number; size: number; mtime: number; ino: number; nlink: number },
    groups: Map<number | bigint, string>,
  ): string {
    const kind = attr.mode >> 12;
    let content = "";
    if (kind === 8) {
      const handle = this.union.open(nodeid, 0);
      const buffer = Buffer.alloc(attr.size + 10);
      content = buffer.toString("latin1", 0, this.union.read(handle, buffer, 0));
      this.union.release(handle);
    } else if (kind === 10) {
      content = Buffer.from(this.union.readlink(nodeid)).toString();
    }
    const list = this.union.listxattr(nodeid, 65536);
    const attributes = typeof list === "number" ? "" : Buffer.from(list).toString("latin1");
    return describe(path, { ...attr, content, attributes }, groups);
  }
}

interface Described {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly ino: number | bigint;
  readonly nlink: number;
  readonly content: string;
  readonly attributes: string;
}

function describe(path: string, entry: Described, groups: Map<number | bigint, string>): string {
  const kind = entry.mode >> 12;
  const first = kind === 4 ? path : (groups.get(entry.ino) ?? path);
  if (kind !== 4) groups.set(entry.ino, first);
  const size = kind === 4 ? 0 : entry.size;
  const attributes = entry.attributes
    .split("\0")
    .filter((name) => name.startsWith("user.") && !name.startsWith("user.overlay."))
    .toSorted()
    .join(",");
  const text = entry.content.replaceAll("\0", ".");
  return `${path} ${entry.mode.toString(8)} ${entry.uid}:${entry.gid} ${size} ${kind === 4 ? 0 : entry.nlink} =${first} [${attributes}] ${text.replace(/\.{20,}/g, (dots) => `<${dots.length}>`)}`;
}

/** The same of a tree that the kernel shows. */
export function dumpPath(root: string): string[] {
  const lines: string[] = [];
  const groups = new Map<number | bigint, string>();
  const list = Buffer.alloc(65536);
  const walk = (path: string): void => {
    for (const name of fs.readdirSync(path === "" ? root : `${root}/${path}`).toSorted((a, b) => (a < b ? -1 : 1))) {
      const below = path === "" ? name : `${path}/${name}`;
      const full = `${root}/${below}`;
      const attr = fs.lstatSync(full);
      const content = attr.isFile()
        ? fs.readFileSync(full, "latin1")
        : attr.isSymbolicLink()
          ? fs.readlinkSync(full)
          : "";
      const length = listXattrs(...place(full), list);
      const attributes = length > 0 ? list.toString("latin1", 0, length) : "";
      lines.push(
        describe(
          below,
          Object.assign(attr, { content, attributes, ino: fs.lstatSync(full, { bigint: true }).ino }),
          groups,
        ),
      );
      if (attr.isDirectory()) walk(below);
    }
  };
  walk("");
  return lines;
}

/** A detached mount of the kernel's overlayfs; closing it unmounts it. Its content is below the path. */
export function mountOverlay(lowers: readonly string[], upper: string, work: string): Fd & { root: string } {
  const options: MountOption[] = lowers.map((lower) => ["lowerdir+", lower]);
  options.push(
    ["upperdir", upper],
    ["workdir", work],
    ["index", "on"],
    ["redirect_dir", "on"],
    ["metacopy", "on"],
    ["xino", "on"],
  );
  const mount = makeMount("overlay", options);
  return Object.assign(mount, { root: `/proc/self/fd/${mount.number}` });
}

/** A directory on a disk, on a mount of its own, which is removed at the end. */
export function mountDisk(): { root: string } & Disposable {
  const directory = temporaryDirectory("union");
  const mount = cloneMount(null, directory);
  const remove = (): void => {
    mount.close();
    fs.rmSync(directory, { recursive: true });
  };
  return { root: `/proc/self/fd/${mount.number}`, [Symbol.dispose]: remove };
}

/** A detached tmpfs: its path. */
export function mountTmpfs(): Fd & { root: string } {
  const mount = makeMount("tmpfs", []);
  return Object.assign(mount, { root: `/proc/self/fd/${mount.number}` });
}
