import { S } from "../../kernel/abi/file.ts";
import type { Name } from "../../kernel/at.ts";
import { type Attr, isDirectory } from "../../kernel/file.ts";
import type { Change } from "../changes/types.ts";
import { factsOf, readXattrs } from "./facts.ts";
import type { AttributeChange, Move, Part } from "./journal.ts";
import type { Staged } from "./stage.ts";
import { directoryOf, nameOf } from "../changes/names.ts";
import { type Tree } from "./tree.ts";

/** Puts something that is in the area into the target. */
interface Arrival {
  readonly path: Name;
  readonly name: string;
  /** What is made in the area; else what was taken out before, or linked. */
  readonly staged?: Staged;
  readonly ino?: string;
  readonly from?: Name;
  /** The inode that it takes the place of. */
  readonly old?: string;
}

/** What becomes of directories that aren't changed themselves. */
export interface Directories {
  /** Where the directory is afterwards that was at this path; undefined: gone. */
  readonly nowAt: (was: Name) => Name | undefined;
  /** Whether the session has it with the attributes that it had. */
  readonly isUnchanged: (was: Name) => boolean;
}

/** What is to be done to one target, while it is found out; see Part. */
export class Draft {
  readonly #target: Tree;
  readonly #after: Tree;
  readonly #outs: (Move & { kind: "out" })[] = [];
  readonly #links: (Move & { kind: "link" })[] = [];
  readonly #arrivals: Arrival[] = [];
  readonly #attributes: AttributeChange[] = [];
  /** Directories of the target, by where they were, in which names come or go. */
  readonly #touched = new Map<Name, { ino: string; attr: Attr }>();
  /** Directories that are staged, in which something arrives later. */
  readonly #refinished = new Set<Staged>();
  readonly #byPath = new Map<Name, Staged>();
  readonly roots: Staged[] = [];
  #count = 0;

  constructor(target: Tree, after: Tree) {
    this.#target = target;
    this.#after = after;
  }

  get isEmpty(): boolean {
    return this.#outs.length + this.#arrivals.length + this.#attributes.length === 0;
  }

  /** What is staged for a path. */
  stagedAt(path: Name): Staged | undefined {
    return this.#byPath.get(path);
  }

  /** Something is to be made: in a directory that is made itself, else by itself, and then it has to arrive. */
  stage(path: Name, after: Attr, linkTo?: Staged): { staged: Staged; isNested: boolean } {
    const above = this.#byPath.get(directoryOf(path));
    const isNested = above?.type === S.IFDIR;
    const staged: Staged = {
      path,
      type: after.mode & S.IFMT,
      name: isNested ? nameOf(path) : this.#next(),
      children: [],
      ino: "",
      ...(isNested ? { parent: above } : {}),
      ...(linkTo === undefined ? {} : { linkTo }),
    };
    (isNested ? above.children : this.roots).push(staged);
    this.#byPath.set(path, staged);
    return { staged, isNested };
  }

  arrive(staged: Staged, was: Name | undefined, old?: string): void {
    this.#touch(was);
    this.#arrivals.push({ path: staged.path, name: staged.name, staged, ...(old === undefined ? {} : { old }) });
  }

  /** @param was where it is; @param to where it comes in again; @param toWas where that place is */
  takeOut(was: Name, attr: Attr, to?: Name, toWas?: Name): void {
    const [name, ino] = [this.#next(), String(attr.ino)];
    this.#touch(was);
    this.#touch(toWas);
    this.#outs.push({ kind: "out", name, path: was, ino, ...(to === undefined ? {} : { to }) });
    if (to !== undefined) this.#bring({ path: to, name, ino, from: was });
  }

  /** A further name for a file of the target that stays what it is. @param of its name after the commit */
  link(of: Name, ino: string, path: Name, was: Name | undefined, old?: string): void {
    const name = this.#next();
    this.#links.push({ kind: "link", name, of, path, ino });
    this.#bring({ path, name, ino, ...(old === undefined ? {} : { old }) });
    this.#touch(was);
  }

  #bring(arrival: Arrival): void {
    const above = this.#byPath.get(directoryOf(arrival.path));
    if (above !== undefined) this.#refinished.add(above);
    this.#arrivals.push(arrival);
  }

  /** @param was where it is in the target now */
  setAttributes(change: Change & { kind: "modified" | "renamed" | "added" | "type" }, was: Name, attr: Attr): void {
    const { path, after } = change;
    const aspects = "aspects" in change ? change.aspects : [];
    const names = aspects.flatMap((aspect) => (aspect.startsWith("xattr:") ? [aspect.slice("xattr:".length)] : []));
    // chown takes them away.
    if (!names.includes("security.capability") && (attr.mode & S.IFMT) === S.IFREG && aspects.includes("owner"))
      names.push("security.capability");
    this.#attributes.push({
      path,
      was,
      ino: String(attr.ino),
      isDirectory: isDirectory(attr),
      what: "all",
      before: factsOf(attr, readXattrs(this.#target.get(was), names)),
      after: factsOf(after, readXattrs(this.#after.get(path), names)),
    });
  }

  /** The directory that holds a path of the target as it is. */
  #touch(was: Name | undefined): void {
    if (was === undefined) return;
    const directory = directoryOf(was);
    if (this.#touched.has(directory)) return;
    const found = this.#target.look(directory);
    if (found !== undefined) this.#touched.set(directory, { ino: String(found.attr.ino), attr: found.attr });
  }

  #next(): string {
    return String(this.#count++);
  }

  /** The directories in which names come or go. */
  get touched(): Iterable<Name> {
    return this.#touched.keys();
  }

  /** All of it, once everything is staged. */
  finish(place: Omit<Part, "moves" | "attributes">, directories: Directories): Part {
    // What is in a directory leaves it before the directory goes, and comes after it has come.
    const outs = this.#outs.toSorted((a, b) => (a.path < b.path ? 1 : -1));
    const arrivals = this.#arrivals.toSorted((a, b) => (a.path < b.path ? -1 : 1));
    const linked = new Map(this.#links.map((link) => [link.name, link]));
    const moves: Move[] = [...outs];
    const late: Move[] = [];
    for (const arrival of arrivals) {
      const link = linked.get(arrival.name);
      if (link === undefined) moves.push(moveOf(arrival));
      else late.push(link, moveOf(arrival));
    }
    return { ...place, moves: [...moves, ...late], attributes: [...this.#attributes, ...this.#times(directories)] };
  }

  /** What the session sees unchanged has its times back when other things in it have changed. */
  #times({ nowAt, isUnchanged }: Directories): AttributeChange[] {
    const known = new Set(this.#attributes.map(({ was }) => was));
    const touched = [...this.#touched].filter(([was]) => !known.has(was));
    return [
      ...touched.map(([was, { ino, attr }]) => {
        const before = factsOf(attr, []);
        const path = nowAt(was);
        const after = path !== undefined && isUnchanged(was) ? { after: before } : {};
        return { path: path ?? was, was, ino, isDirectory: true, what: "times" as const, before, ...after };
      }),
      ...Array.from(this.#refinished, ({ path, ino }) => {
        const after = this.#after.look(path)?.attr;
        return {
          path,
          ino,
          isDirectory: true,
          what: "times" as const,
          ...(after === undefined ? {} : { after: factsOf(after, []) }),
        };
      }),
    ];
  }
}

function moveOf({ path, name, staged, ino = staged?.ino ?? "", from, old }: Arrival): Move {
  if (old !== undefined) return { kind: "swap", name, path, ino, old };
  return { kind: "in", name, path, ino, ...(from === undefined ? {} : { from }) };
}
