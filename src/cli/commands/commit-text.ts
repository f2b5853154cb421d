import { quotePath } from "../../layer/quote.ts";
import type { Logged } from "../../session/commit/journal.ts";
import type { Conflict } from "../../session/commit/judge.ts";
import type { JsonField } from "../command.ts";

/** A change as commit, undo and log show it; paths are quoted as git quotes them. */
export interface ShownChange {
  readonly letter: string;
  readonly path: string;
  readonly from?: string;
}

export function shownChange({ letter, path, from }: Logged): ShownChange {
  return { letter, path: quotePath(`/${path}`), ...(from === undefined ? {} : { from: quotePath(`/${from}`) }) };
}

export function changeLines(changes: readonly ShownChange[]): string {
  return changes
    .map(({ letter, path, from }) => `${letter} ${from === undefined ? "" : `${from} -> `}${path}\n`)
    .join("");
}

export function countText(count: number): string {
  return count === 1 ? "1 change" : `${count} changes`;
}

export function changesJson(name: string): JsonField[] {
  return [
    { name, type: "object[]", summary: "what was changed, directories before what is in them" },
    {
      name: `${name}[].letter`,
      type: "string",
      summary: "`A` added, `D` deleted, `M` modified, `R` renamed, `T` another type",
    },
    { name: `${name}[].path`, type: "string", summary: "from the session's root, quoted as git quotes paths" },
    { name: `${name}[].from`, type: "string?", summary: "with `R`: where it was before" },
  ];
}

/** What others have changed too: both sides, in words. */
export interface ShownConflict {
  readonly path: string;
  readonly reason: string;
  readonly ours: string;
  readonly theirs: string;
}

export function showConflicts(conflicts: readonly Conflict[]): string {
  return conflicts.map((conflict) => conflictLine(bothSides(conflict))).join("");
}

export function conflictLine({ path, reason, ours, theirs }: ShownConflict): string {
  return `conflict ${path}: ${reason}\n  session  ${ours}\n  target   ${theirs}\n`;
}

export function bothSides({ path, reason, ours, theirs }: Conflict): ShownConflict {
  return { path: quotePath(`/${path}`), reason, ours: sideText(ours), theirs: sideText(theirs) };
}

const types: Readonly<Record<number, string>> = {
  0o140000: "socket",
  0o120000: "symbolic link",
  0o100000: "file",
  0o060000: "block device",
  0o040000: "directory",
  0o020000: "character device",
  0o010000: "fifo",
};

function sideText(attr: Conflict["ours"]): string {
  if (attr === undefined) return "nothing";
  const { mode, uid, gid, size, mtimeNs } = attr;
  const type = types[mode & 0o170000] ?? "unknown";
  const bytes = type === "file" ? `, ${size} bytes` : "";
  const time = new Date(Number(mtimeNs / 1_000_000n)).toISOString();
  return `${type}${bytes}, mode ${(mode & 0o7777).toString(8)}, owner ${uid}:${gid}, of ${time}`;
}
