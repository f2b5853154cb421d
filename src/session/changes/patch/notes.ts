import { S } from "../../../kernel/abi/file.ts";
import { quotePath } from "../../../layer/quote.ts";
import { type Pair, patchMode } from "./pairs.ts";

/** What is new about a file that no patch can hold, in words. */
export function notesOf({ before, after, change }: Pair): string[] {
  const notes: string[] = [];
  const side = after ?? before;
  if (side !== undefined && patchMode(side.attr) === undefined)
    notes.push(typeNames[side.attr.mode & S.IFMT] ?? "other");
  if (after !== undefined && change !== undefined) {
    const usual = patchMode(after.attr) === "100755" ? 0o755 : 0o644;
    const mode = after.attr.mode & 0o7777;
    const isLink = (after.attr.mode & S.IFMT) === S.IFLNK;
    const isNewMode = mode !== usual && (before === undefined || (before.attr.mode & 0o7777) !== mode);
    if (isNewMode && !isLink) notes.push(`mode ${mode.toString(8).padStart(4, "0")}`);
    const { uid, gid } = after.attr;
    const isNewOwner =
      before === undefined ? uid !== 0 || gid !== 0 : before.attr.uid !== uid || before.attr.gid !== gid;
    if (isNewOwner) notes.push(`owner ${uid}:${gid}`);
  }
  if (change !== undefined && "aspects" in change)
    for (const aspect of change.aspects)
      if (aspect.startsWith("xattr:") || aspect === "links" || aspect === "device") notes.push(quotePath(aspect));
  return notes;
}

const typeNames: Readonly<Record<number, string>> = {
  [S.IFCHR]: "character device",
  [S.IFBLK]: "block device",
  [S.IFIFO]: "fifo",
  [S.IFSOCK]: "socket",
  [S.IFDIR]: "directory",
};
