import type { Name } from "../../../kernel/at.ts";
import { unless } from "../../../kernel/error.ts";
import { quotePath } from "../../../layer/quote.ts";
import type { Change, UnionTrees } from "../types.ts";
import { type Hunks, makeHunks } from "./hunks.ts";
import { notesOf } from "./notes.ts";
import { type Pair, pairsOf, patchMode } from "./pairs.ts";
import { contentOf, type PairSide } from "./side.ts";

/** What a patch says of one file. Texts are bytes, one character each. */
export interface FilePatch {
  /** In the session, or where it was before it was deleted; absolute. */
  readonly path: Name;
  readonly from?: Name;
  /** As git writes it; empty where nothing of it can be in a patch. */
  readonly text: string;
  readonly added: number;
  readonly removed: number;
  /** The sizes, of what isn't text. */
  readonly binary?: { readonly before: number; readonly after: number };
  /** What no patch can hold. */
  readonly notes: readonly string[];
}

/** Makes of the changes what `git apply` and `patch -p1` take; all that they don't take is in the notes. */
export function* makePatches(trees: readonly UnionTrees[], changes: readonly Change[]): Generator<FilePatch> {
  for (const pair of pairsOf(trees, changes)) {
    const tree = trees[pair.union];
    // What has gone meanwhile comes with the next look.
    const patch = tree && unless(["ENOENT"], () => patchOf(tree, pair));
    if (patch !== undefined) yield patch;
  }
}

function patchOf(tree: UnionTrees, pair: Pair): FilePatch {
  const { before, after } = pair;
  const prefix = tree.at === "/" ? "" : tree.at;
  const [from, to] = [before && `${prefix}/${before.path}`, after && `${prefix}/${after.path}`];
  const isRenamed = from !== undefined && to !== undefined && from !== to;
  const base = { path: to ?? from ?? "", ...(isRenamed ? { from } : {}), added: 0, removed: 0, notes: notesOf(pair) };
  const modes = { before: before && patchMode(before.attr), after: after && patchMode(after.attr) };
  const isHeld = (mode: string | undefined, side: PairSide | undefined): boolean =>
    (mode === undefined) === (side === undefined);
  if (!isHeld(modes.before, before) || !isHeld(modes.after, after)) return { ...base, text: "" };
  if (before !== undefined && after !== undefined && hasSameContent(pair))
    return passedOver({ ...base, text: headerOf({ from, to, modes }) });
  const one = before === undefined ? empty : contentOf(tree.before, before);
  const other = after === undefined ? empty : contentOf(tree.after, after);
  if (one === "binary" || other === "binary") {
    const binary = { before: before?.attr.size ?? 0, after: after?.attr.size ?? 0 };
    return { ...base, text: "", binary };
  }
  const hunks = makeHunks(one.toString("latin1"), other.toString("latin1"));
  const hashes = { before: before && blobHash(one), after: after && blobHash(other) };
  const text = headerOf({ from, to, modes, hashes, hunks }) + hunks.text;
  return passedOver({ ...base, text, added: hunks.added, removed: hunks.removed });
}

/** Because of one name in .git, git apply takes nothing of a patch: there it is only to be read. */
function passedOver(patch: FilePatch): FilePatch {
  const names = `${patch.path}/${patch.from ?? ""}`.toLowerCase().split("/");
  if (patch.text === "" || !names.includes(".git")) return patch;
  const text = patch.text.replace(/^(?=[^\n])/gm, "# ");
  return { ...patch, text, notes: [...patch.notes, "git apply takes nothing in .git"] };
}

const empty = Buffer.alloc(0);

function hasSameContent({ change }: Pair): boolean {
  if (change === undefined) return true;
  const hasAspects = change.kind === "modified" || change.kind === "renamed";
  return hasAspects && !change.aspects.includes("content") && !change.aspects.includes("target");
}

/** By which git knows a file's content. */
function blobHash(content: Buffer): string {
  // It takes 2.5 ms to load, and most who look at changes ask for no patch.
  const { createHash } = process.getBuiltinModule("node:crypto");
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex").slice(0, 10);
}

interface Header {
  readonly from: Name | undefined;
  readonly to: Name | undefined;
  readonly modes: Sides;
  readonly hashes?: Sides;
  readonly hunks?: Hunks;
}

interface Sides {
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** Empty where git would have nothing to say. */
function headerOf({ from, to, modes, hashes, hunks }: Header): string {
  const lines: string[] = [];
  if (modes.before === undefined) lines.push(`new file mode ${modes.after}`);
  else if (modes.after === undefined) lines.push(`deleted file mode ${modes.before}`);
  else if (modes.before !== modes.after) lines.push(`old mode ${modes.before}`, `new mode ${modes.after}`);
  if (from !== undefined && to !== undefined && from !== to) {
    lines.push(`similarity index ${hunks === undefined ? 100 : similarity(hunks)}%`);
    lines.push(`rename from ${quoted("", from)}`, `rename to ${quoted("", to)}`);
  }
  if (hashes !== undefined) {
    const mode = modes.before !== undefined && modes.before === modes.after ? ` ${modes.before}` : "";
    lines.push(`index ${hashes.before ?? "0000000000"}..${hashes.after ?? "0000000000"}${mode}`);
  }
  if (lines.length === 0) return "";
  if (hunks !== undefined && hunks.text !== "") {
    lines.push(`--- ${from === undefined ? "/dev/null" : fileName("a", from)}`);
    lines.push(`+++ ${to === undefined ? "/dev/null" : fileName("b", to)}`);
  }
  const both = `diff --git ${quoted("a", from ?? to ?? "")} ${quoted("b", to ?? from ?? "")}`;
  return [both, ...lines].map((line) => `${line}\n`).join("");
}

/** How much of a renamed file has stayed; what 100 says is said of files that stayed whole. */
function similarity({ added, removed, lines }: Hunks): number {
  return Math.max(0, Math.min(99, Math.floor((100 * (lines - added - removed)) / Math.max(1, lines))));
}

/** Where a name has a space, a tab says where it ends. */
function fileName(side: "a" | "b", path: Name): string {
  const name = quoted(side, path);
  return name.includes(" ") && !name.startsWith('"') ? `${name}\t` : name;
}

/** As bytes, as all of a patch. */
function quoted(side: "a" | "b" | "", path: Name): string {
  const name = side === "" ? path.slice(1) : side + path;
  const text = quotePath(name);
  // patch(1) takes a blank at the end for none.
  return Buffer.from(text.endsWith(" ") ? `"${text}"` : text).toString("latin1");
}
