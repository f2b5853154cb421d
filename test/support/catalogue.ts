import { globSync, readFileSync } from "node:fs";

/**
 * What the installed schroot can say: the messages of its catalogues for gettext(3) that are in its three programs. None
 * where no catalogue is installed.
 */
export function schrootMessages(): string[] {
  const [catalogue] = globSync("/usr/share/locale/*/LC_MESSAGES/schroot.mo").toSorted();
  if (catalogue === undefined) return [];
  const programs = ["/usr/bin/schroot", ...globSync("/usr/lib/*/schroot/schroot-*")].map((path) => readFileSync(path));
  return readOriginals(readFileSync(catalogue)).filter((message) =>
    programs.some((program) => program.includes(Buffer.from(`\0${message}\0`))),
  );
}

/** @see https://www.gnu.org/software/gettext/manual/html_node/MO-Files.html */
function readOriginals(file: Buffer): string[] {
  const [count, table] = [file.readUInt32LE(8), file.readUInt32LE(12)];
  const all = Array.from({ length: count }, (_, index) => {
    const [length, start] = [file.readUInt32LE(table + 8 * index), file.readUInt32LE(table + 8 * index + 4)];
    return file.toString("utf8", start, start + length).split("\0")[0] ?? "";
  });
  return all.filter((message) => message !== "");
}

/** Finds out which messages were said in a text. */
export class Heard {
  readonly #lines: readonly string[];
  readonly #words: string;

  constructor(text: string) {
    this.#lines = [...new Set(text.split("\n"))];
    this.#words = text.replaceAll(/\s+/g, " ");
  }

  /** Whether this message of a catalogue was said, with whatever in the place of its `%1%`. */
  has(message: string): boolean {
    const parts = message.trim().split(/%(?:\d+%|[a-zA-Z])/);
    if (parts.length === 1) return this.#words.includes(message.trim().replaceAll(/\s+/g, " "));
    return this.#lines.some((line) => {
      let at = 0;
      return parts.every((part) => {
        const found = line.indexOf(part, at);
        at = found + part.length;
        return found >= 0;
      });
    });
  }
}
