import { E } from "../../kernel/abi/errno.ts";
import { O, RENAME_EXCHANGE, RENAME_NOREPLACE } from "../../kernel/abi/file.ts";
import {
  closeFd,
  fail,
  linkName,
  must,
  type Name,
  openName,
  renameName,
  statFd,
  statName,
  unlinkName,
} from "../../kernel/at.ts";
import type { Entry } from "../../layer/attributes.ts";
import { setFacts, setTimes } from "./facts.ts";
import type { AttributeChange, Facts, Move, Part } from "./journal.ts";
import type { Place } from "./place.ts";
import { inoOf } from "./stage.ts";
import type { Tree } from "./tree.ts";

/**
 * Takes the target to what it is to be. Each step looks whether it was done already, so that a killed process's work is gone
 * on with from its start.
 */
export function applyForward({ tree, area }: Place, { moves, attributes }: Part): void {
  const work = new Work(tree, area.number);
  for (const move of moves) work.forward(move);
  tree.forget();
  for (const change of attributes) {
    if (change.after === undefined || work.set(change.path, change, change.after, change.what)) continue;
    // Somebody has put another file there meanwhile.
    if (!change.isDirectory) fail("set attributes of", change.path, -E.STALE);
  }
}

/** The opposite: all is where and as it was. @param kept the directories, by their index, whose times are left as they are */
export function applyBackward({ tree, area }: Place, { moves, attributes }: Part, kept: readonly number[] = []): void {
  const work = new Work(tree, area.number);
  for (const move of moves.toReversed()) work.backward(move);
  tree.forget();
  const isKept = new Set(kept);
  attributes.forEach((change, index) => {
    const { was, before, what } = change;
    if (was === undefined || before === undefined) return;
    if (!isKept.has(index)) work.set(was, change, before, what);
    else if (what === "all") work.set(was, change, before, "all but times");
  });
}

class Work {
  readonly #tree: Tree;
  readonly #area: number;
  /** Whether paths are now those after the entries were taken out. */
  #isTurned = false;

  constructor(tree: Tree, area: number) {
    this.#tree = tree;
    this.#area = area;
  }

  forward(move: Move): void {
    this.#turn(move.kind !== "out");
    const { name, path, ino } = move;
    switch (move.kind) {
      case "out":
        // Where it is in its new place by now, its old one may have another of its names.
        if (this.#inArea(name) !== undefined || this.#at(path) !== ino) return;
        if (move.to !== undefined && this.#at(move.to) === ino) return;
        return this.#take(path, name);
      case "in":
        if (this.#inArea(name) !== undefined) this.#give(name, path);
        return;
      case "swap":
        if (this.#inArea(name) === ino) this.#exchange(name, path);
        return;
      case "link":
        if (this.#at(path) === ino || this.#inArea(name) === ino) return;
        return this.#link(move.of, name);
    }
  }

  backward(move: Move): void {
    this.#turn(move.kind === "out");
    const { name, path, ino } = move;
    switch (move.kind) {
      case "out":
        if (this.#inArea(name) !== undefined) this.#give(name, path);
        return;
      case "in":
        if (this.#inArea(name) !== undefined || this.#at(path) !== ino) return;
        if (move.from !== undefined && this.#at(move.from) === ino) return;
        return this.#take(path, name);
      case "swap":
        if (this.#inArea(name) === move.old) this.#exchange(name, path);
        return;
      case "link":
        if (this.#inArea(name) === ino) must("unlink", name, unlinkName(this.#area, name));
    }
  }

  /** @returns false where another inode is there */
  set(path: Name, { ino }: AttributeChange, facts: Facts, what: "all" | "all but times" | "times"): boolean {
    const entry = this.#tree.find(path);
    if (entry === undefined) return false;
    const { fd: dirfd, name } = entry;
    const fd = name === "" ? dirfd : openName(dirfd, name, O.PATH | O.NOFOLLOW);
    if (fd === -E.NOENT) return false;
    must("open", path, fd);
    try {
      must("stat", path, statFd(fd));
      if (inoOf() !== ino) return false;
      if (what === "times") setTimes({ fd, name: "" }, facts);
      else setFacts({ fd, name: "" }, facts, what);
      return true;
    } finally {
      if (fd !== dirfd) closeFd(fd);
    }
  }

  #turn(isTurned: boolean): void {
    if (isTurned !== this.#isTurned) this.#tree.forget();
    this.#isTurned = isTurned;
  }

  #inArea(name: string): string | undefined {
    return inoAt({ fd: this.#area, name });
  }

  #at(path: Name): string | undefined {
    const entry = this.#tree.find(path);
    return entry === undefined ? undefined : inoAt(entry);
  }

  #take(path: Name, name: string): void {
    const { fd, name: old } = this.#tree.get(path);
    must("rename", path, renameName(fd, old, this.#area, name, RENAME_NOREPLACE));
  }

  #give(name: string, path: Name): void {
    const to = this.#tree.get(path);
    must("rename", path, renameName(this.#area, name, to.fd, to.name, RENAME_NOREPLACE));
  }

  #exchange(name: string, path: Name): void {
    const to = this.#tree.get(path);
    must("rename", path, renameName(this.#area, name, to.fd, to.name, RENAME_EXCHANGE));
  }

  #link(of: Name, name: string): void {
    const from = this.#tree.get(of);
    must("link", of, linkName(from.fd, from.name, this.#area, name));
  }
}

/** The inode there; undefined: none. */
function inoAt({ fd, name }: Entry): string | undefined {
  const result = statName(fd, name);
  if (result === -E.NOENT) return undefined;
  return result < 0 ? fail("stat", name, result) : inoOf();
}
