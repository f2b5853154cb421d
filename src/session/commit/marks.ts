import { E } from "../../kernel/abi/errno.ts";
import { fail, must, type Name, bytesOf } from "../../kernel/at.ts";
import { unless } from "../../kernel/error.ts";
import { openDirectory } from "../../kernel/file.ts";
import { attributeName, removeXattr, setXattrOf } from "../../kernel/io.ts";
import { openLayerRoot } from "../../layer/layer.ts";
import { namesIn } from "../changes/below.ts";
import { sourceOf } from "../changes/moves.ts";
import type { UnionTrees } from "../changes/types.ts";
import { readIndexed, readUpper, type UpperDirectory, type UpperFile } from "../changes/upper.ts";
import type { Mark, Marks } from "./journal.ts";
import type { Pair } from "./relocated.ts";
import { isWithin, joinPath, Tree } from "./tree.ts";

type Sides = Pick<UnionTrees, "upper" | "dialect" | "union">;

/**
 * What the redirects of an upper must say once directories below it have moved. A union that is mounted remembers what they
 * said, so it has to be mounted anew.
 */
export function findMarks({ upper, dialect, union }: Sides, moved: readonly Pair[]): Marks[] {
  const { prefix } = dialect;
  const marks: Mark[] = [];
  if (prefix === undefined) return [{ upper: union.upper, marks }];
  const attribute = `${prefix}redirect`;
  const nearest = moved.toSorted((a, b) => b[0].length - a[0].length || b[1].length - a[1].length);
  const now = (path: Name, here: Name): Name => {
    const first = nearest.find(([from]) => isWithin(path, from));
    if (first === undefined) return path;
    // Two may be from one place: an undo has brought it back, and it was moved again.
    const own = nearest.find(([from, to]) => from === first[0] && isWithin(here, to));
    return joinPath((own ?? first)[1], path.slice(first[0].length + 1));
  };
  // Before a commit its content is copied up; before an undo it isn't.
  const markFile = (list: Mark[], { redirect }: UpperFile, path: Name, here: Name): void => {
    if (redirect?.startsWith("/") !== true) return;
    const after = `/${now(redirect.slice(1), here)}`;
    if (after !== redirect) list.push({ path, attribute, before: redirect, after });
  };
  const walk = (directory: UpperDirectory, path: Name, was: Name | undefined): void => {
    for (const child of directory.children) {
      if (child.kind === "whiteout") continue;
      const here = joinPath(path, child.name);
      if (child.kind === "file") {
        markFile(marks, child, here, here);
        continue;
      }
      const natural = was === undefined || child.isOpaque ? undefined : joinPath(was, child.name);
      const from = child.isOpaque ? undefined : (sourceOf(child.redirect, was) ?? natural);
      const isElsewhere = from !== undefined && now(from, here) !== from;
      if (from !== undefined && (isElsewhere || (was !== undefined && now(was, path) !== was))) {
        const before = child.redirect ?? null;
        const isNatural = was !== undefined && now(from, here) === joinPath(now(was, path), child.name);
        const after = isNatural ? null : `/${now(from, here)}`;
        if (after !== before) marks.push({ path: here, attribute, before, after });
      }
      walk(child, here, from);
    }
  };
  walk(readUpper(upper, dialect), "", "");
  const found: Marks[] = [{ upper: union.upper, marks }];
  using index = unless(["ENOENT"], () => openDirectory(`${union.work}/index`));
  if (index === undefined) return found;
  // Files with several names: the one that was renamed may be in the upper no more.
  const indexed: Mark[] = [];
  for (const name of namesIn(index.number, "index")) {
    const file = readIndexed(dialect, index.number, name);
    if (file !== undefined) markFile(indexed, file, name, "");
  }
  return [...found, { upper: index.path, marks: indexed }];
}

/** Sets marks as they are to be, or takes them back. An upper that is gone needs none. */
export function setMarks({ upper, marks }: Marks, which: "before" | "after"): void {
  if (marks.length === 0) return;
  const root = unless(["ENOENT"], () => openLayerRoot(upper, "noatime"));
  if (root === undefined) return;
  using tree = new Tree(root);
  for (const mark of marks) {
    const entry = tree.find(mark.path);
    if (entry === undefined) continue;
    const [attribute, value] = [attributeName(mark.attribute), mark[which]];
    if (value !== null) must("setxattr", mark.path, setXattrOf(entry.fd, entry.name, attribute, bytesOf(value)));
    else {
      const result = removeXattr(entry.fd, entry.name, attribute);
      if (result < 0 && result !== -E.NODATA) fail("removexattr", mark.path, result);
    }
  }
}
