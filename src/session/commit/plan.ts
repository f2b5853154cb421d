import { UserError } from "../../error.ts";
import { S } from "../../kernel/abi/file.ts";
import { fail, type Name } from "../../kernel/at.ts";
import { type Attr, isDirectory } from "../../kernel/file.ts";
import { listDirectory } from "../../kernel/io.ts";
import { quotePath } from "../../layer/quote.ts";
import type { Aspect, Change } from "../changes/types.ts";
import { type Directories, Draft } from "./draft.ts";
import { type Conflict, isSameType, type Judge } from "./judge.ts";
import { wasOf } from "./select.ts";
import type { Staged } from "./stage.ts";
import { directoryOf, nameOf } from "../changes/names.ts";
import { ancestorsOf, isWithin, joinPath, type Tree } from "./tree.ts";

/** What is to be done to one target. */
export interface Request {
  /** Of one union, those that are committed. */
  readonly changes: readonly Change[];
  readonly all: readonly Change[];
  readonly target: Tree;
  readonly after: Tree;
  readonly judge: Judge;
  /** What something new in the session was copied from; see findOrigin(). */
  readonly origin: (path: Name) => Attr | "gone" | undefined;
  /** Paths of the target that aren't touched, ours. */
  readonly reserved: readonly Name[];
}

export interface Planned {
  readonly draft: Draft;
  readonly conflicts: readonly Conflict[];
  /** Regular files whose content must be in the upper before their place below changes. */
  readonly unsettled: readonly Name[];
  /** Directories that move. */
  readonly moved: readonly (readonly [from: Name, to: Name])[];
  readonly directories: Directories;
  /** Looks at the target once more, when all is ready. */
  checkAgain(): void;
}

/**
 * Finds out what is to be done to a target, from what is there. What isn't as the session saw it is a conflict; the plan is then
 * what takes the session's side.
 */
export function planChanges(request: Request): Planned {
  const planner = new Planner(request);
  for (const change of request.changes.toSorted((a, b) => (a.path < b.path ? -1 : 1))) planner.add(change);
  planner.finish();
  return planner;
}

type There = Exclude<Change, { kind: "deleted" }>;

/** Of which file something is another name. */
type Head =
  | { readonly kind: "none" } //                                   of none, or of one that isn't committed
  | { readonly kind: "staged"; readonly staged: Staged }
  | { readonly kind: "theirs"; readonly of: Name; readonly ino: string }; // the target's own, which stays

class Planner implements Planned {
  readonly draft: Draft;
  readonly conflicts: Conflict[] = [];
  readonly unsettled: Name[] = [];
  readonly moved: (readonly [Name, Name])[] = [];
  readonly #request: Request;
  readonly #target: Tree;
  readonly #byPath: ReadonlyMap<Name, Change>;
  readonly #allPaths: ReadonlySet<Name>;
  /** Paths of the target as it is from which something goes. */
  readonly #leaving = new Set<Name>();
  /** Directories that go with all that is in them, in the session's paths. */
  readonly #gone = new Set<Name>();
  /** The first that was staged of the names of one file that another change, or one that isn't committed, has. */
  readonly #heads = new Map<Name, Staged>();
  /** Files with further names: where a directory is compared as a whole, `linkTo` may be missing. */
  readonly #inodes = new Map<string, Staged>();
  readonly #conflicting = new Set<Name>();
  /** Directories that are new in the session, and which the target has all the same: where they are there. */
  readonly #standing = new Map<Name, Name>();
  readonly #seen = new Map<Name, Attr | undefined>();

  constructor(request: Request) {
    this.#request = request;
    this.#target = request.target;
    this.draft = new Draft(request.target, request.after);
    this.#byPath = new Map(request.changes.map((change) => [change.path, change]));
    this.#allPaths = new Set(request.all.map(({ path }) => path));
    for (const change of request.changes) {
      if (change.kind === "renamed") this.#leaving.add(change.from);
      if (change.kind === "deleted") this.#leaving.add(change.was ?? change.path);
    }
  }

  add(change: Change): void {
    if (this.#isReserved(change)) return;
    switch (change.kind) {
      case "added":
        return this.#added(change);
      case "modified":
        return this.#modified(change);
      case "type":
        return this.#retyped(change);
      case "renamed":
        return this.#renamed(change);
      case "deleted":
        return this.#deleted(change);
    }
  }

  #isReserved(change: Change): boolean {
    const paths = [change.path, change.kind === "renamed" ? change.from : change.path];
    for (const reserved of this.#request.reserved) {
      if (paths.some((path) => isWithin(path, reserved))) return true;
      if (change.kind === "modified" || !paths.some((path) => isWithin(reserved, path))) continue;
      throw new UserError(
        "unsupported",
        `/${quotePath(change.path)} holds what Fallthru itself keeps, and can't be committed`,
      );
    }
    return false;
  }

  #added(change: Change & { kind: "added" }): void {
    const { path, after } = change;
    const was = this.#was(path);
    const found = was === undefined || this.#leaving.has(was) ? undefined : this.#look(was);
    if (found !== undefined) this.#conflict(path, "appeared", after, found);
    else this.#checkOrigin(path, after);
    if (found !== undefined && isDirectory(found) && isDirectory(after)) return this.#stand(change, was ?? path, found);
    this.#put(change, was, found);
  }

  /** What was changed in the session, and deleted by others, looks new. */
  #checkOrigin(path: Name, after: Attr): void {
    const origin = this.#request.origin(path);
    if (origin !== undefined && this.#request.judge.isVanished(origin)) this.#conflict(path, "vanished", after);
  }

  #modified(change: Change & { kind: "modified" }): void {
    const { path, before, after, aspects, was = path } = change;
    const found = this.#look(was);
    if (found === undefined || !isSameType(found, after)) {
      this.#conflict(path, found === undefined ? "vanished" : "changed", after, found);
      return this.#put(change, was, found);
    }
    const isChanged = this.#request.judge.isChanged(found, before, change);
    if (isChanged) this.#conflict(path, "changed", after, found);
    if (isDirectory(after) || (!isChanged && !isNew(aspects))) return this.draft.setAttributes(change, was, found);
    this.#put(change, was, found);
  }

  #retyped(change: Change & { kind: "type" }): void {
    const { path, before, after, was = path } = change;
    const found = this.#look(was);
    if (found === undefined) this.#conflict(path, "vanished", after);
    else if (this.#request.judge.isChanged(found, before, change)) this.#conflict(path, "changed", after, found);
    if (isDirectory(before)) this.#gone.add(path);
    if (found !== undefined && isDirectory(found)) this.#refuseUnknown(was, path);
    if (found !== undefined && isDirectory(found) && isDirectory(after)) return this.#stand(change, was, found);
    this.#put(change, was, found);
  }

  /** A directory that there shouldn't be, and which becomes ours. */
  #stand(change: Change & { kind: "added" | "type" }, was: Name, found: Attr): void {
    this.#standing.set(change.path, was);
    this.draft.setAttributes(change, was, found);
  }

  #renamed(change: Change & { kind: "renamed" }): void {
    const { path, from, before, after, aspects } = change;
    const was = this.#was(path);
    const there = was === undefined || this.#leaving.has(was) ? undefined : this.#look(was);
    if (there !== undefined && was !== undefined) {
      this.#conflict(path, "appeared", after, there);
      this.draft.takeOut(was, there);
    }
    const found = this.#look(from);
    if (found === undefined || !isSameType(found, after)) {
      this.#conflict(path, "vanished", after, found);
      if (found !== undefined) this.draft.takeOut(from, found);
      return this.#putTree(path, was);
    }
    if (this.#request.judge.isChanged(found, before, change)) this.#conflict(path, "changed", after, found);
    if (!isDirectory(after) && isNew(aspects)) {
      this.draft.takeOut(from, found);
      return this.#put(change, was, undefined);
    }
    if (isDirectory(after)) this.moved.push([from, path]);
    else if ((after.mode & S.IFMT) === S.IFREG) this.unsettled.push(path);
    this.#makeParents(path, was);
    this.draft.takeOut(from, found, path, was);
    if (aspects.length > 0) this.draft.setAttributes(change, from, found);
  }

  #deleted(change: Change & { kind: "deleted" }): void {
    const { path, before, was = path } = change;
    const found = this.#look(was);
    const isCovered = this.#gone.has(directoryOf(path));
    if (isCovered || isDirectory(before)) this.#gone.add(path);
    if (found === undefined) return;
    if (this.#request.judge.isChanged(found, before, change)) this.#conflict(path, "changed", undefined, found);
    if (isDirectory(found)) this.#refuseUnknown(was, path);
    if (!isCovered) this.draft.takeOut(was, found);
  }

  /** What a directory that goes holds must be known to the session, or it would go unseen. */
  #refuseUnknown(was: Name, path: Name): void {
    const fd = this.#target.directory(was);
    if (fd === undefined) return;
    const unknown: Name[] = [];
    const result = listDirectory(fd, (name) => {
      if (name !== "." && name !== ".." && !this.#leaving.has(joinPath(was, name))) unknown.push(name);
    });
    if (result < 0) fail("readdir", was, result);
    for (const name of unknown)
      this.#conflict(joinPath(path, name), "appeared", undefined, this.#look(joinPath(was, name)));
  }

  /** A new inode for a path, or a further name for one. */
  #put(change: There, was: Name | undefined, old: Attr | undefined): void {
    const { path, after } = change;
    this.#makeParents(path, was);
    const oldIno = old === undefined ? undefined : String(old.ino);
    const head = this.#headOf(change);
    if (head.kind === "theirs") {
      this.unsettled.push(path);
      return this.draft.link(head.of, head.ino, path, was, oldIno);
    }
    const wasLinked = old !== undefined && !isDirectory(old) && old.nlink > 1;
    if ((after.mode & S.IFMT) === S.IFREG && (after.nlink > 1 || wasLinked)) this.unsettled.push(path);
    const { staged, isNested } = this.draft.stage(path, after, head.kind === "staged" ? head.staged : undefined);
    if (change.linkTo !== undefined && head.kind === "none") this.#heads.set(change.linkTo, staged);
    if (!isDirectory(after) && after.nlink > 1 && head.kind === "none") this.#inodes.set(inodeOf(after), staged);
    if (!isNested) this.draft.arrive(staged, was, oldIno);
  }

  #headOf({ linkTo, path, after }: There): Head {
    if (linkTo === undefined) {
      const staged = this.#inodes.get(inodeOf(after));
      return staged === undefined ? { kind: "none" } : { kind: "staged", staged };
    }
    const staged = this.draft.stagedAt(linkTo) ?? this.#heads.get(linkTo);
    if (staged !== undefined) return { kind: "staged", staged };
    const other = this.#byPath.get(linkTo);
    if (other === undefined && this.#allPaths.has(linkTo)) return { kind: "none" };
    const was = other?.kind === "renamed" ? other.from : this.#was(linkTo);
    const found = was === undefined ? undefined : this.#look(was);
    if (found !== undefined && !isDirectory(found)) return { kind: "theirs", of: linkTo, ino: String(found.ino) };
    this.#conflict(path, "vanished");
    return { kind: "none" };
  }

  /** A directory with all that the session has in it, where the target lacks what was only renamed. */
  #putTree(path: Name, was: Name | undefined): void {
    const found = this.#request.after.look(path);
    if (found === undefined) return;
    this.#makeParents(path, was);
    const { staged, isNested } = this.draft.stage(path, found.attr);
    if (!isNested) this.draft.arrive(staged, was);
    const fd = isDirectory(found.attr) ? this.#request.after.directory(path) : undefined;
    if (fd === undefined) return;
    const names: Name[] = [];
    listDirectory(fd, (name) => {
      if (name !== "." && name !== "..") names.push(name);
    });
    for (const name of names)
      if (!this.#byPath.has(joinPath(path, name))) this.#putTree(joinPath(path, name), undefined);
  }

  /** Where the target lacks the directory that this is in. */
  #makeParents(path: Name, was: Name | undefined): void {
    const above = directoryOf(path);
    if (above === "" || was === undefined || this.draft.stagedAt(above) !== undefined) return;
    if (this.#target.directory(directoryOf(was)) !== undefined) return;
    const found = this.#request.after.look(above);
    if (found === undefined) return;
    const old = this.#look(directoryOf(was));
    this.#conflict(above, old === undefined ? "vanished" : "in the way", found.attr, old);
    this.#makeParents(above, directoryOf(was));
    const { staged, isNested } = this.draft.stage(above, found.attr);
    if (!isNested) this.draft.arrive(staged, directoryOf(was), old === undefined ? undefined : String(old.ino));
  }

  #was(path: Name): Name | undefined {
    const standing = this.#standing.get(directoryOf(path));
    return standing === undefined ? wasOf(path, this.#byPath) : joinPath(standing, nameOf(path));
  }

  #look(was: Name): Attr | undefined {
    const found = this.#target.look(was);
    if (found?.isProtected === true) throw immutable(was);
    this.#seen.set(was, found?.attr);
    return found?.attr;
  }

  /** @throws {UserError} where the target has changed since it was looked at */
  checkAgain(): void {
    this.#target.forget();
    for (const [was, attr] of this.#seen) {
      const found = this.#target.look(was)?.attr;
      const isSame =
        found?.ino === attr?.ino && (found?.ctimeNs === attr?.ctimeNs || (found !== undefined && isDirectory(found)));
      if (isSame) continue;
      throw new UserError("conflict", `/${quotePath(was)} was changed in the target while it was committed`, {
        hint: "nothing was changed; do it again",
      });
    }
  }

  get directories(): Directories {
    // Of what was only renamed nothing else is set.
    const isOnlyMoved = (change: Change): boolean => change.kind === "renamed" && change.aspects.length === 0;
    const changed = new Set(this.#request.all.filter((change) => !isOnlyMoved(change)).map(placeOf));
    const gone = new Set(
      this.#request.changes.flatMap((change) =>
        change.kind === "deleted" || change.kind === "type" ? [change.was ?? change.path] : [],
      ),
    );
    return {
      isUnchanged: (was) => !changed.has(was),
      nowAt: (was) => {
        for (const path of [was, ...ancestorsOf(was)]) {
          if (gone.has(path)) return undefined;
          const move = this.moved.find(([from]) => from === path);
          if (move !== undefined) return joinPath(move[1], was.slice(path.length + 1));
        }
        return was;
      },
    };
  }

  #conflict(path: Name, reason: Conflict["reason"], ours?: Attr, theirs?: Attr): void {
    if (this.#conflicting.has(path)) return;
    this.#conflicting.add(path);
    const sides = { ...(ours === undefined ? {} : { ours }), ...(theirs === undefined ? {} : { theirs }) };
    this.conflicts.push({ path, reason, ...sides });
  }

  finish(): void {
    for (const was of this.draft.touched) this.#look(was);
  }
}

/** Where it is below the session's upper, or would be. */
function placeOf(change: Change): Name {
  return change.kind === "renamed" ? change.from : ((change.kind === "added" ? undefined : change.was) ?? change.path);
}

/** Union and upper number their devices differently; the time of the last change is the same. */
function inodeOf({ ino, ctimeNs, size }: Attr): string {
  return `${ino} ${ctimeNs} ${size}`;
}

/** Whether it can't be had by changing attributes. */
function isNew(aspects: readonly Aspect[]): boolean {
  return aspects.some((aspect) => ["content", "target", "device", "links"].includes(aspect));
}

function immutable(path: Name): UserError {
  return new UserError("failed", `/${quotePath(path)} is immutable or append-only in the target (chattr(1))`, {
    hint: `nothing was changed; take the mark off there: chattr -i -a …/${quotePath(nameOf(path))}`,
  });
}
