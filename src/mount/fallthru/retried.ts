import type { Name } from "../../kernel/at.ts";
import type { RenameMode } from "../../union/rename.ts";
import type { Union } from "../../union/union.ts";
import type { Journal } from "./journal.ts";

/** Of a rename that is asked for again: done in the layers, and known to the journal too. */
export type Renamed = "not yet" | "done" | "recorded";

/** The names of a rename, by the nodeids of their directories. */
interface Names {
  readonly parent: number;
  readonly name: Name;
  readonly newParent: number;
  readonly newName: Name;
}

/** What the server before had done of a rename when it was killed. */
export function renamedBefore(
  { union, journal }: { readonly union: Union; readonly journal: Journal },
  { parent, name, newParent, newName }: Names,
  mode: RenameMode,
): Renamed {
  const known = journal.at(parent, name);
  if (known === undefined || journal.hasJustMoved(parent, name, newParent, newName)) return "recorded";
  const [from, to] = [inoAt(union, parent, name), inoAt(union, newParent, newName)];
  const isDone = mode === "exchange" ? to === known.ino && from !== to : from === undefined && to !== undefined;
  return isDone ? "done" : "not yet";
}

function inoAt(union: Union, parent: number, name: Name): number | undefined {
  const entry = union.lookup(parent, name);
  if (entry !== undefined) union.forget(entry.nodeid, 1);
  return entry?.attr.ino;
}
