import { UserError } from "../../error.ts";
import type { Connection } from "../../fuse/connection.ts";
import type { Request } from "../../fuse/filesystem.ts";
import { E } from "../../kernel/abi/errno.ts";
import { O } from "../../kernel/abi/file.ts";
import { closeFd, fail, type Name } from "../../kernel/at.ts";
import { isErrno, unless } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { openAt, sameDevice, statAt } from "../../kernel/file.ts";
import { inoSpaceFor } from "../../union/setup.ts";
import type { LowerFile } from "../../union/pin.ts";
import { Union } from "../../union/union.ts";
import { callerOf } from "./caller.ts";
import { findMetacopies } from "./metacopies.ts";
import type { Journal } from "./journal.ts";
import type { Keeper } from "./keeper.ts";
import { opensFiles } from "./options.ts";
import type { LayerStack } from "./stack.ts";
import type { Branch } from "./state.ts";

/** _IOWR(0xfa, 1, char[8192]) of the root: a LayerChange goes in, a Refusal comes out, as JSON, each followed by zeros. */
export const changeCommand = 0xe000_fa01;
export const CHANGE_BYTES = 8192;

/** What is asked for. */
export interface LayerChange {
  /** Of this request: one that is sent again is known by it. */
  readonly id: string;
  readonly action: "add-top" | "add-bottom" | "remove";
  readonly path: string;
  /** The directory to be added, open in the process that asks. */
  readonly descriptor?: number;
}

export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
}

interface Parts {
  readonly union: Union;
  readonly stack: LayerStack;
  readonly connection: Connection;
  readonly journal: Journal;
  readonly keeper: Keeper;
}

/** Ends this server; the holder starts the next, which goes on where this one stands. */
export function replaceServer(): never {
  process.kill(process.pid, "SIGKILL");
  throw new Error("kill(2) returned");
}

/**
 * Changes the lowers of a union while it is mounted. When all that is open is seen to, the new list is written down and the
 * server kills itself: the next one opens the layers as they are then and answers the request, which the kernel sends again.
 */
export class LayerChanges {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** @returns the refusal, or nothing but zeros: it is done; @throws {KernelError} EPERM, EINVAL */
  change(value: Uint8Array, request: Request): Buffer {
    const answer = Buffer.alloc(CHANGE_BYTES);
    if (callerOf(request).uid !== 0) fail("change layers", "", -E.PERM);
    const wanted = parseChange(value) ?? fail("change layers", "", -E.INVAL);
    if (wanted.id === this.#parts.stack.lastChange) return answer;
    try {
      this.#checkOpens();
      if (wanted.action === "remove") this.#remove(wanted);
      else this.#add(wanted, request);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const refusal: Refusal = { code: error.code, message: error.message, hint: error.hint };
      answer.write(JSON.stringify(refusal));
      return answer;
    }
    return replaceServer();
  }

  /** Who has a file of a lower open has to be known. */
  #checkOpens(): void {
    if (opensFiles(this.#parts.stack.mount)) return;
    throw new UserError("unsupported", "this union was mounted with passthrough=off: its layers stay as they are", {
      hint: "unmount the union, and mount it without that, or with other layers",
    });
  }

  #add({ id, action, path, descriptor }: LayerChange, request: Request): void {
    const { stack } = this.#parts;
    using directory = this.#open(path, request.pid, descriptor ?? -1);
    this.#checkNew(path, directory);
    this.#checkEpochs();
    const key = Math.max(-1, ...stack.branches.map((branch) => branch.key)) + 1;
    const branch: Branch = { path, dialect: stack.mount.lowerDialect ?? "auto", key };
    const isData = stack.branches.findIndex(({ isDataOnly }) => isDataOnly === true);
    const at = action === "add-top" ? 0 : isData < 0 ? stack.branches.length : isData;
    const branches = stack.branches.toSpliced(at, 0, branch);
    // Who has a file open that is hidden now goes on with it, as with one that was removed.
    for (const [nodeid, file] of this.#lost(branches, directory)) {
      this.#parts.keeper.keep(nodeid, { fd: file.fd, isLower: true });
      for (const { parent, name } of file.links) this.#parts.journal.remove(parent, name);
      closeFd(file.fd);
    }
    stack.commit({ branches, id }, { key, directory });
  }

  #remove({ id, path }: LayerChange): void {
    const { stack } = this.#parts;
    const index = stack.branches.findIndex((branch) => branch.path === path && branch.isRetired !== true);
    const branch = stack.branches[index];
    if (branch === undefined) {
      throw new UserError("not-found", `${path} is not a lower of this union`, {
        hint: "fallthru layer list shows them",
      });
    }
    const branches = stack.branches.with(index, { ...branch, isRetired: true });
    if (stack.upper === undefined && branches.every(({ isRetired, isDataOnly }) => isRetired ?? isDataOnly ?? false))
      throw new UserError("busy", `${path} is the only layer of this union`);
    this.#checkEpochs();
    const [open] = this.#lost(branches, undefined);
    if (open !== undefined) {
      for (const [, { fd }] of this.#lost(branches, undefined)) closeFd(fd);
      throw busy(path, `${pathOf(open[1].names)} is open`, "close it first: fuser -v or lsof name who has it open");
    }
    this.#checkContent(path, branches);
    stack.commit({ branches, id }, undefined);
  }

  /** The directory that the process has open: its path may mean something else to us, or nothing. */
  #open(path: string, pid: number, descriptor: number): Fd {
    const open = (): Fd => openAt(null, `/proc/${pid}/fd/${descriptor}/.`, O.RDONLY | O.DIRECTORY);
    const directory = unless(["ENOENT", "EACCES", "EPERM"], open);
    if (directory !== undefined) return directory;
    throw new UserError("failed", `the server can't see ${path}: it has no such process, or may not look at it`, {
      hint: "change the layers from where the union was mounted, as who mounted it",
    });
  }

  #checkNew(path: string, directory: Fd): void {
    const { stack } = this.#parts;
    const attr = statAt(directory);
    const known = stack.directories.map((each) => statAt(each));
    if (known.some((each) => each.ino === attr.ino && sameDevice(each, attr)))
      throw new UserError("exists", `${path} is a layer of this union already`);
    const count = stack.fileSystemCount();
    if (inoSpaceFor(stack.fileSystemCount(directory)) !== inoSpaceFor(count))
      throw new UserError("busy", "the layers lie on as many file systems as there are inode numbers for", {
        hint: "unmount the union, and mount it with all its layers",
      });
  }

  /** Without these names that aren't there any more would stay in the kernel's cache. */
  #checkEpochs(): void {
    try {
      this.#parts.connection.notify({ kind: "increment-epoch" });
    } catch (error) {
      if (!isErrno(error, "EINVAL")) throw error;
      throw new UserError("unsupported", "changing the layers of a mounted union takes Linux 6.16 or newer", {
        hint: "unmount the union, and mount it with other layers",
      });
    }
  }

  /** Open files of lowers that other layers would hide or lack, by nodeid; their descriptors are the caller's. */
  #lost(branches: readonly Branch[], added: Fd | undefined): Map<number, LowerFile> {
    const { union, journal, stack } = this.#parts;
    const lost = new Map<number, LowerFile>();
    using trial = new Union(stack.trial(branches, added));
    for (const { nodeid } of journal.files().values()) {
      const file = lost.has(nodeid) ? undefined : union.lowerFile(nodeid);
      if (file === undefined) continue;
      if (inoAt(trial, file.names) === file.ino) closeFd(file.fd);
      else lost.set(nodeid, file);
    }
    return lost;
  }

  /** A file of which only the attributes were copied up keeps its content below. */
  #checkContent(path: string, branches: readonly Branch[]): void {
    const { stack } = this.#parts;
    if (stack.upper === undefined) return;
    using trial = new Union(stack.trial(branches, undefined));
    for (const names of findMetacopies(stack.upper)) {
      const isWhole = unless(["EIO", "ENOENT"], () => inoAt(trial, names) !== undefined) ?? false;
      if (!isWhole)
        throw busy(
          path,
          `the content of ${pathOf(names)} is there`,
          "copy it first: open it for writing, as touch does",
        );
    }
  }
}

function busy(path: string, why: string, hint: string): UserError {
  return new UserError("busy", `${path} is in use: ${why}`, { hint });
}

function pathOf(names: readonly Name[]): string {
  return Buffer.from(`/${names.join("/")}`, "latin1").toString("utf8");
}

function inoAt(union: Union, names: readonly Name[]): number | undefined {
  let [nodeid, ino] = [1, 0];
  for (const name of names) {
    const entry = union.lookup(nodeid, name);
    if (entry === undefined) return undefined;
    ({ nodeid } = entry);
    ({ ino } = entry.attr);
  }
  return ino;
}

function parseChange(value: Uint8Array): LayerChange | undefined {
  try {
    const { id, action, path, descriptor } = JSON.parse(textOf(value)) as Partial<LayerChange>;
    if (typeof id !== "string" || typeof path !== "string") return undefined;
    if (action !== "add-top" && action !== "add-bottom" && action !== "remove") return undefined;
    return { id, action, path, ...(typeof descriptor === "number" && { descriptor }) };
  } catch {
    return undefined;
  }
}

/** Up to the first zero. */
export function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString("utf8");
}
