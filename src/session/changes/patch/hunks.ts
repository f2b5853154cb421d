import { differingLines } from "./lines.ts";

/** A text as bytes, one character each. */
type Text = string;

const context = 3;
const noNewline = "\\ No newline at end of file\n";

export interface Hunks {
  /** As in a patch, from the first `@@`; empty where the texts are the same. */
  readonly text: Text;
  readonly added: number;
  readonly removed: number;
  /** Of both texts. */
  readonly lines: number;
}

/** What makes the second text of the first, as a unified diff. */
export function makeHunks(before: Text, after: Text): Hunks {
  const [one, other] = [splitLines(before), splitLines(after)];
  const numbers = new Map<Text, number>();
  const { removed, added } = differingLines(numbered(one, numbers), numbered(other, numbers));
  const blocks = blocksOf(removed, added);
  const parts: Text[] = [];
  for (let first = 0; first < blocks.length;) {
    let last = first;
    while (last + 1 < blocks.length && gapBetween(blocks[last], blocks[last + 1]) <= 2 * context) last++;
    parts.push(hunk(one, other, blocks.slice(first, last + 1)));
    first = last + 1;
  }
  return { text: parts.join(""), added: sum(added), removed: sum(removed), lines: one.length + other.length };
}

function sum(flags: Uint8Array): number {
  return flags.reduce((total, flag) => total + flag, 0);
}

/** Each with its newline, the last without if it has none. */
function splitLines(text: Text): Text[] {
  const lines = text.split("\n");
  const last = lines.pop() ?? "";
  const whole = lines.map((line) => `${line}\n`);
  return last === "" ? whole : [...whole, last];
}

function numbered(lines: readonly Text[], numbers: Map<Text, number>): Int32Array {
  return Int32Array.from(lines, (line) => {
    const known = numbers.get(line);
    if (known !== undefined) return known;
    numbers.set(line, numbers.size);
    return numbers.size - 1;
  });
}

/** Lines of the one that stand for lines of the other; ends are behind the last. */
interface Block {
  readonly from: number;
  readonly to: number;
  readonly otherFrom: number;
  readonly otherTo: number;
}

function blocksOf(removed: Uint8Array, added: Uint8Array): Block[] {
  const blocks: Block[] = [];
  let [at, otherAt] = [0, 0];
  while (at < removed.length || otherAt < added.length) {
    const [from, otherFrom] = [at, otherAt];
    while (removed[at] === 1) at++;
    while (added[otherAt] === 1) otherAt++;
    if (at > from || otherAt > otherFrom) blocks.push({ from, to: at, otherFrom, otherTo: otherAt });
    else [at, otherAt] = [at + 1, otherAt + 1];
  }
  return blocks;
}

function gapBetween(block: Block | undefined, next: Block | undefined): number {
  return (next?.from ?? 0) - (block?.to ?? 0);
}

function hunk(one: readonly Text[], other: readonly Text[], blocks: readonly Block[]): Text {
  const [first, last] = [blocks[0], blocks.at(-1)];
  if (first === undefined || last === undefined) return "";
  const start = Math.max(0, first.from - context);
  const end = Math.min(one.length, last.to + context);
  const otherStart = first.otherFrom - (first.from - start);
  const otherEnd = last.otherTo + (end - last.to);
  let lines = `@@ -${range(start, end)} +${range(otherStart, otherEnd)} @@\n`;
  let at = start;
  for (const { from, to, otherFrom, otherTo } of blocks) {
    lines += marked(" ", one.slice(at, from)) + marked("-", one.slice(from, to));
    lines += marked("+", other.slice(otherFrom, otherTo));
    at = to;
  }
  return lines + marked(" ", one.slice(at, end));
}

function marked(mark: " " | "-" | "+", lines: readonly Text[]): Text {
  return lines.map((line) => (line.endsWith("\n") ? mark + line : `${mark}${line}\n${noNewline}`)).join("");
}

/** An empty range is named by the line before it. */
function range(start: number, end: number): string {
  const length = end - start;
  if (length === 0) return `${start},0`;
  return length === 1 ? `${start + 1}` : `${start + 1},${length}`;
}
