import { isRefusal, writeSome } from "../session/output.ts";

/** What a verb's data look like to a program: one document, two spaces to a level, a newline at its end. */
export function jsonText(data: unknown): string {
  return `${JSON.stringify(data ?? null, jsonValue, 2)}\n`;
}

/** JSON has no 64-bit numbers: a bigint becomes a string of digits. */
function jsonValue(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}

/** Columns under their headings, two spaces apart; the last isn't padded. Nothing at all for no rows. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const lines = [headings, ...rows];
  // Of thousands of lines: what is plain ASCII, as most are, is found out at once, and as wide as it is long.
  return /^[ -~]*$/.test(lines.flat().join(""))
    ? columns(lines, ({ length }) => length)
    : columns(
        lines.map((cells) => cells.map(visible)),
        (cell) => Array.from(cell).length,
      );
}

/** @param widthOf in characters */
function columns(lines: readonly (readonly string[])[], widthOf: (cell: string) => number): string {
  const widths: number[] = [];
  for (const cells of lines) cells.forEach((cell, at) => (widths[at] = Math.max(widths[at] ?? 0, widthOf(cell))));
  const padded = (cell: string, at: number) => cell.padEnd((widths[at] ?? 0) - widthOf(cell) + cell.length);
  return lines.map((cells) => `${cells.map(padded).join("  ").trimEnd()}\n`).join("");
}

/** `label  value` lines; a value of several lines goes on below its first, one that is undefined is left out. */
export function fields(entries: readonly (readonly [string, string | readonly string[] | undefined])[]): string {
  const width = Math.max(...entries.map(([label]) => label.length));
  let text = "";
  for (const [label, value] of entries) {
    const lines = value === undefined ? [] : typeof value === "string" ? [value] : value;
    lines.forEach((line, index) => (text += `${(index === 0 ? label : "").padEnd(width)}  ${visible(line)}\n`));
  }
  return text;
}

/** One line without control characters: names come from hostile places, and a terminal obeys what it is shown. */
export function visible(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  const control = /[\u0000-\u001f\u007f-\u009f]/g;
  return text.replace(control, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/**
 * Writes all of `text`. process.stdout isn't used: it takes 9 ms to come to life, and loses its end at an exit.
 * @returns false where the reader has gone away, which is nobody's mistake
 */
export function write(fd: 1 | 2, text: string | Uint8Array): boolean {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  for (let offset = 0; offset < bytes.length;) {
    try {
      offset += writeSome(fd, bytes.subarray(offset));
    } catch (error) {
      if (isRefusal(error, "EPIPE")) return false;
      // The terminal has hung up: whoever asks something there hears of it, and has the rest to do all the same.
      if (fd === 2 && isRefusal(error, "EIO")) return false;
      if (!isRefusal(error, "EAGAIN", "EINTR")) throw error;
      pause(); // somebody else made the pipe or terminal non-blocking
    }
  }
  return true;
}

export function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
}
