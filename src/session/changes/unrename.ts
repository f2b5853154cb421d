import { UserError } from "../../error.ts";
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from "../../kernel/abi/file.ts";
import { must, type Name, renameName } from "../../kernel/at.ts";
import { isDirectory } from "../../kernel/file.ts";
import { quotePath } from "../../layer/quote.ts";
import { randomHex } from "../id.ts";
import { isWithin } from "../commit/tree.ts";
import { attrAt, openDirectoryAt } from "./below.ts";
import { absolutePath } from "./diff.ts";
import { directoryOf, join, nameOf } from "./names.ts";
import type { Change, UnionTrees } from "./types.ts";

export type Renamed = Change & { kind: "renamed" };

/** Something that goes back to where it was, and where it is by now. */
interface Pending {
  readonly change: Renamed;
  path: Name;
}

/** What else has to do with it. */
export interface Around {
  /** Directories that are new in the session, and couldn't be removed: something from before is in them. */
  readonly full: readonly Name[];
  /** @returns false for a directory in which something is */
  readonly remove: (path: Name) => boolean;
  /** What is back at its place has what it had. */
  readonly restore: (change: Renamed, path: Name) => void;
}

/**
 * Takes renames back, whatever the order that they came in: each whose place is free, or that changes places with another
 * that has to go from there, until none is left.
 * @param renamed the deepest first @returns what of `full` is still there
 * @throws {UserError} busy: something stays where one has to go
 */
export function takeRenamesBack(tree: UnionTrees, renamed: readonly Renamed[], around: Around): readonly Name[] {
  const back = new Back(tree, renamed, around);
  back.run();
  return back.full();
}

class Back {
  #full: Set<Name>;
  readonly #tree: UnionTrees;
  readonly #around: Around;
  readonly #directories: readonly Pending[];
  #left: readonly Pending[];

  constructor(tree: UnionTrees, renamed: readonly Renamed[], around: Around) {
    [this.#tree, this.#around, this.#full] = [tree, around, new Set(around.full)];
    this.#left = renamed.map((change) => ({ change, path: change.path }));
    this.#directories = this.#left.filter(({ change }) => isDirectory(change.after));
  }

  run(): void {
    while (this.#left.length > 0) {
      const waiting: Pending[] = [];
      const before = this.#left;
      for (const one of before) if (!this.#place(one)) waiting.push(one);
      const [first] = waiting;
      if (first !== undefined && waiting.length === before.length) throw this.#inTheWay(first);
      this.#left = waiting;
    }
  }

  /** The deepest first. */
  full(): readonly Name[] {
    return [...this.#full].toSorted((a, b) => (a < b ? 1 : -1));
  }

  #place(one: Pending): boolean {
    const { from } = one.change;
    // Changing places with another may have taken it there.
    if (one.path !== from && !this.#move(one, from)) return false;
    this.#around.restore(one.change, from);
    return true;
  }

  /** @returns false where that can't be yet */
  #move(one: Pending, from: Name): boolean {
    // The directory that it is to be in has to be back itself: another may be there meanwhile.
    const isAway = ({ change, path }: Pending): boolean =>
      path !== change.from && change.from !== from && isWithin(from, change.from);
    if (this.#directories.some(isAway)) return false;
    if (this.#full.has(from) && this.#around.remove(from)) this.#full.delete(from);
    if (attrAt(this.#tree.after, from) === undefined) return this.#rename(one, from, "free");
    const isOurs = this.#full.has(from) || this.#left.some(({ path, change }) => path === from && change.from !== from);
    if (!isOurs) return false;
    // What it is in can't change places with it.
    if (isWithin(one.path, from)) {
      const aside = join(directoryOf(from), `.fallthru-discard-${randomHex()}`);
      if (!this.#rename(one, aside, "free")) return false;
    }
    return this.#rename(one, from, "taken");
  }

  /** @param place "taken": by something that changes places with it */
  #rename(one: Pending, to: Name, place: "free" | "taken"): boolean {
    const was = one.path;
    using there = openDirectoryAt(this.#tree.after, directoryOf(to));
    using here = openDirectoryAt(this.#tree.after, directoryOf(was));
    if (there === undefined || here === undefined) return false;
    const flags = place === "free" ? RENAME_NOREPLACE : RENAME_EXCHANGE;
    must("rename", was, renameName(here.number, nameOf(was), there.number, nameOf(to), flags));
    if (place === "free" && !isDirectory(one.change.after)) one.path = to;
    else this.#follow(was, to, place);
    return true;
  }

  /** What was moved is elsewhere, and what is in it too. */
  #follow(was: Name, now: Name, place: "free" | "taken"): void {
    const move = (path: Name): Name => {
      if (isWithin(path, was)) return now + path.slice(was.length);
      return place === "taken" && isWithin(path, now) ? was + path.slice(now.length) : path;
    };
    for (const one of this.#left) one.path = move(one.path);
    this.#full = new Set([...this.#full].map(move));
  }

  #inTheWay({ change }: Pending): UserError {
    const path = quotePath(absolutePath([this.#tree], 0, change.from));
    return new UserError("busy", `something is at ${path} that stays, or its directory isn't there any more`, {
      hint: "discard that, too",
    });
  }
}
