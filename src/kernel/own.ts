import { unless } from "./error.ts";
import { readFile, readLinkAt } from "./file.ts";
import type { Path } from "./libc.ts";

/**
 * What this process was started with, as bytes: Bun and Node hand it over as text, and put U+FFFD for whatever isn't
 * UTF-8. Files are read only where that happened.
 */

/**
 * The words, which were the last of our own arguments, as they were given.
 * @see proc_pid_cmdline(5)
 */
export function verbatimArguments(words: readonly string[]): readonly Path[] {
  return areMangled(words) ? verbatimWords(words, splitAtNul(readFile("/proc/self/cmdline"))) : words;
}

/** A word that is one of our own arguments, as it was given. Of several that read alike it is the first. */
export function verbatimArgument(word: string): Path {
  if (!isMangled(word)) return word;
  for (const given of splitAtNul(readFile("/proc/self/cmdline"))) {
    const bytes = sameText(given, word);
    if (bytes !== undefined) return bytes;
  }
  return word;
}

/** The same for words that end as what was `given` does. */
export function verbatimWords(words: readonly string[], given: readonly Uint8Array[]): readonly Path[] {
  if (!areMangled(words)) return words;
  const skipped = given.length - words.length;
  return words.map((word, index) => sameText(given[index + skipped], word) ?? word);
}

/** An option's value as it was given: the end of one of these words, or of those that this process was started with. */
export function verbatimValue(value: string, given?: readonly Uint8Array[]): Path {
  if (!isMangled(value)) return value;
  for (const each of given ?? splitAtNul(readFile("/proc/self/cmdline"))) {
    const word = Buffer.from(each);
    const text = word.toString("utf8");
    if (!text.endsWith(value)) continue;
    // What stands before it names the option.
    const bytes = sameText(word.subarray(text.length - value.length), value);
    if (bytes !== undefined) return bytes;
  }
  return value;
}

/**
 * This process's environment, or only these variables of it.
 * @see proc_pid_environ(5)
 */
export function ownEnvironment(names: readonly string[] = Object.keys(process.env)): Record<string, Path> {
  const env: Record<string, Path> = {};
  let isExact = true;
  for (const key of names) {
    const value = process.env[key];
    if (value === undefined) continue;
    env[key] = value;
    isExact &&= !isMangled(key) && !isMangled(value);
  }
  if (isExact) return env;
  for (const line of splitAtNul(readFile("/proc/self/environ"))) {
    const equals = line.indexOf("=");
    const key = line.subarray(0, equals).toString("utf8");
    const value = env[key];
    if (typeof value === "string") env[key] = sameText(line.subarray(equals + 1), value) ?? value;
  }
  return env;
}

/** This process's working directory; undefined where it was deleted. */
export function ownDirectory(): Path | undefined {
  const directory = unless(["ENOENT"], () => process.cwd());
  return directory !== undefined && isMangled(directory) ? readLinkAt(null, "/proc/self/cwd") : directory;
}

// No some(): the first call of an array's method that takes a function costs a start 0.06 ms.
function areMangled(words: readonly string[]): boolean {
  for (const word of words) if (isMangled(word)) return true;
  return false;
}

function isMangled(text: string): boolean {
  return text.includes("\uFFFD");
}

/** The bytes, where they are what became the text. */
function sameText(bytes: Uint8Array | undefined, text: string): Uint8Array | undefined {
  return bytes !== undefined && isMangled(text) && Buffer.from(bytes).toString("utf8") === text ? bytes : undefined;
}

function splitAtNul(data: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let start = 0; start < data.length;) {
    const end = data.indexOf(0, start);
    parts.push(data.subarray(start, end < 0 ? data.length : end));
    start = (end < 0 ? data.length : end) + 1;
  }
  return parts;
}
