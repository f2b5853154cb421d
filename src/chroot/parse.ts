import type { Problem } from "./problem.ts";

/** One `[name]` group of a file in schroot.conf(5)'s format: text only, nothing is interpreted yet. */
export interface Stanza {
  /** Empty where the `[name]` itself is a bad line, which then is the first problem. */
  readonly name: string;
  readonly file: string;
  /** The line of its `[name]`, from 1. */
  readonly line: number;
  /** Its last line that says something. */
  readonly lastLine: number;
  /** By key, `description[fr]` with its brackets. */
  readonly keys: ReadonlyMap<string, StanzaValue>;
  /** Lines that can't be understood; they spoil this stanza and no other. */
  readonly problems: readonly Problem[];
  /** Lines that were understood, but that schroot's parser takes for something else. */
  readonly warnings: readonly Problem[];
}

export interface StanzaValue {
  readonly value: string;
  readonly line: number;
}

export interface ParsedFile {
  readonly stanzas: readonly Stanza[];
  /** Lines that belong to no stanza. */
  readonly problems: readonly Problem[];
  /** What schroot's parser takes for something else, outside of stanzas. */
  readonly warnings: readonly Problem[];
}

type OpenStanza = Stanza & {
  lastLine: number;
  readonly keys: Map<string, StanzaValue>;
  readonly problems: Problem[];
  readonly warnings: Problem[];
};

/**
 * Parses schroot.conf(5)'s format. Where schroot's own parser is a trap it takes what was meant: white space around
 * lines, names, keys and values is dropped, CRLF ends a line, a `#` or `;` that only white space precedes begins a comment;
 * what schroot would take otherwise is warned of.
 * Never throws: what is wrong stands beside the stanza that it spoils. Two stanzas of one name are the caller's
 * to notice, as they may also stand in two files.
 * @param file for messages only
 */
export function parseConfig(content: string | Uint8Array, file: string): ParsedFile {
  const text = typeof content === "string" ? content : Buffer.from(content).toString("utf8");
  const stanzas: OpenStanza[] = [];
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const note = new LineNotes(file, warnings);
  let current: OpenStanza | undefined;
  let number = 0;
  for (const raw of text.split("\n")) {
    number += 1;
    const line = raw.trim(); // takes a byte order mark along
    note.lineEnd(raw, number);
    if (line === "" || line.startsWith("#")) continue;
    if (line.startsWith(";")) {
      note.semicolon(number);
      continue;
    }
    if (line.startsWith("[")) {
      current = openStanza(line, file, number);
      stanzas.push(current);
    } else if (current === undefined) {
      const hint = "a chroot begins with [NAME]";
      problems.push({ file, line: number, message: `bad line ${JSON.stringify(line)} before the first [NAME]`, hint });
    } else {
      current.lastLine = number;
      addKey(current, line, number);
      if (isSpaced(raw)) note.space(current, number);
    }
  }
  return { stanzas, problems, warnings };
}

/** White space that schroot keeps: before a key, around its `=`, behind its value. */
function isSpaced(raw: string): boolean {
  const equals = raw.indexOf("=");
  const last = raw.endsWith("\r") ? raw.length - 2 : raw.length - 1;
  if (isSpace(raw[0]) || (last >= 0 && raw[last] !== "\r" && isSpace(raw[last]))) return true;
  return equals >= 0 && ((equals > 0 && isSpace(raw[equals - 1])) || isSpace(raw[equals + 1]));
}

function isSpace(letter: string | undefined): boolean {
  return letter !== undefined && letter.trim() === "";
}

/** Warns of what is taken as it was meant, once for each file or line. */
class LineNotes {
  readonly #file: string;
  readonly #warnings: Problem[];
  #hasCarriageReturn = false;

  constructor(file: string, warnings: Problem[]) {
    this.#file = file;
    this.#warnings = warnings;
  }

  lineEnd(raw: string, line: number): void {
    if (this.#hasCarriageReturn || !raw.endsWith("\r")) return;
    this.#hasCarriageReturn = true;
    this.#warn(line, "lines end with CR LF, which schroot can't read", `sed -i 's/\\r$//' ${this.#file}`);
  }

  semicolon(line: number): void {
    this.#warn(line, "is taken for a comment, which schroot has with # only");
  }

  space(stanza: OpenStanza, line: number): void {
    const message = `[${stanza.name}] white space around a key or value is dropped, which schroot takes for a part of it`;
    stanza.warnings.push({ file: this.#file, line, message });
  }

  #warn(line: number, message: string, hint?: string): void {
    this.#warnings.push({ file: this.#file, line, message, hint });
  }
}

/** Whatever begins with `[` opens a stanza, so that the lines below a misspelt name don't go to the one above. */
function openStanza(line: string, file: string, number: number): OpenStanza {
  const end = line.indexOf("]");
  const behind = line.slice(end + 1).trimStart();
  const between = line.slice(1, Math.max(end, 1));
  const name = between.includes("[") || !(behind === "" || behind.startsWith("#")) ? "" : between.trim();
  const problems: Problem[] = [];
  if (name === "") {
    const hint = "a chroot begins with [NAME] on a line of its own";
    problems.push({ file, line: number, message: `bad line ${JSON.stringify(line)}`, hint });
  }
  return { name, file, line: number, lastLine: number, keys: new Map(), problems, warnings: [] };
}

function addKey(stanza: OpenStanza, line: string, number: number): void {
  const { file, name, keys, problems, warnings } = stanza;
  const key = line.slice(0, Math.max(line.indexOf("="), 0)).trim();
  const earlier = keys.get(key);
  const value = line.slice(line.indexOf("=") + 1).trim();
  if (key === "") {
    const hint = "each line is KEY=VALUE";
    problems.push({ file, line: number, message: `[${name}] bad line ${JSON.stringify(line)}`, hint });
  } else if (earlier !== undefined) {
    const message = `[${name}] the key ${JSON.stringify(key)} is there twice; first on line ${earlier.line}`;
    (earlier.value === value ? warnings : problems).push({ file, line: number, message });
  } else {
    keys.set(key, { value, line: number });
  }
}
