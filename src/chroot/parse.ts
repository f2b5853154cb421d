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
}

export interface StanzaValue {
  readonly value: string;
  readonly line: number;
}

export interface ParsedFile {
  readonly stanzas: readonly Stanza[];
  /** Lines that belong to no stanza. */
  readonly problems: readonly Problem[];
}

type OpenStanza = Stanza & { lastLine: number; readonly keys: Map<string, StanzaValue>; readonly problems: Problem[] };

/**
 * Parses schroot.conf(5)'s format. Where schroot's own parser is a trap it takes what was meant: white space around
 * lines, names, keys and values is dropped, CRLF ends a line, a `#` that only white space precedes begins a comment.
 * Never throws: what is wrong stands beside the stanza that it spoils. Two stanzas of one name are the caller's
 * to notice, as they may also stand in two files.
 * @param file for messages only
 */
export function parseConfig(content: string | Uint8Array, file: string): ParsedFile {
  const text = typeof content === "string" ? content : Buffer.from(content).toString("utf8");
  const stanzas: OpenStanza[] = [];
  const problems: Problem[] = [];
  let current: OpenStanza | undefined;
  let number = 0;
  for (const raw of text.split("\n")) {
    number += 1;
    const line = raw.trim(); // takes a byte order mark along
    if (line === "" || line.startsWith("#")) continue;
    if (line.startsWith("[")) {
      current = openStanza(line, file, number);
      stanzas.push(current);
    } else if (current === undefined) {
      const hint = line.startsWith(";") ? "comments begin with #" : "a chroot begins with [NAME]";
      problems.push({ file, line: number, message: `bad line ${JSON.stringify(line)} before the first [NAME]`, hint });
    } else {
      current.lastLine = number;
      addKey(current, line, number);
    }
  }
  return { stanzas, problems };
}

/** Whatever begins with `[` opens a stanza, so that the lines below a misspelt name don't go to the one above. */
function openStanza(line: string, file: string, number: number): OpenStanza {
  const name = /^\[([^\][]*)\]\s*(?:#.*)?$/.exec(line)?.[1]?.trim() ?? "";
  const problems: Problem[] = [];
  if (name === "") {
    const hint = "a chroot begins with [NAME] on a line of its own";
    problems.push({ file, line: number, message: `bad line ${JSON.stringify(line)}`, hint });
  }
  return { name, file, line: number, lastLine: number, keys: new Map(), problems };
}

function addKey(stanza: OpenStanza, line: string, number: number): void {
  const { file, name, keys, problems } = stanza;
  const key = line.slice(0, Math.max(line.indexOf("="), 0)).trim();
  const earlier = keys.get(key);
  if (key === "" || key.startsWith(";")) {
    const hint = key === "" && !line.startsWith(";") ? "each line is KEY=VALUE" : "comments begin with #";
    problems.push({ file, line: number, message: `[${name}] bad line ${JSON.stringify(line)}`, hint });
  } else if (earlier !== undefined) {
    const message = `[${name}] the key ${JSON.stringify(key)} is there twice; first on line ${earlier.line}`;
    problems.push({ file, line: number, message });
  } else {
    keys.set(key, { value: line.slice(line.indexOf("=") + 1).trim(), line: number });
  }
}
