import { quotePath } from "../../layer/quote.ts";
import type { Logged } from "../../session/commit/journal.ts";
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
