import { refusal } from "./messages.ts";

/** One option as schroot declares it. */
export interface Option {
  readonly name: string;
  readonly short?: string;
  /** Whether it takes a value, and how often it may be given; "a word" is as good as one that stands alone. */
  readonly takes: "nothing" | "one value" | "values" | "a word";
}

/** A command line taken apart: each option with its values in order, and the words that are none. */
export interface Words {
  readonly options: ReadonlyMap<string, readonly string[]>;
  readonly operands: readonly string[];
}

/**
 * Takes a command line apart as Boost.Program_options does for schroot: long options may be shortened as long as
 * nobody else is meant, short ones stand together, options are found behind operands too, up to `--`.
 * @throws {UserError} in Boost's words, with the first mistake
 */
export function splitWords(argv: readonly string[], known: readonly Option[]): Words {
  const options = new Map<string, string[]>();
  const operands: string[] = [];
  const add = (option: Option, value: string) => {
    if (option.takes === "a word") {
      operands.push(value);
      return;
    }
    const values = options.get(option.name);
    if (values === undefined) options.set(option.name, [value]);
    else values.push(value);
  };
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] ?? "";
    if (word === "--") {
      operands.push(...argv.slice(index + 1));
      break;
    }
    const found = readWord(word, argv[index + 1], known);
    if (found === undefined) operands.push(word);
    else for (const { option, value } of found.given) add(option, value);
    if (found?.tookNext === true) index++;
  }
  for (const { name, takes } of known) {
    if (takes === "values" || takes === "a word" || (options.get(name)?.length ?? 0) < 2) continue;
    throw refusal(`option '--${name}' cannot be specified more than once`);
  }
  return { options, operands };
}

interface Reading {
  readonly given: readonly { readonly option: Option; readonly value: string }[];
  readonly tookNext: boolean;
}

/** @returns undefined for an operand */
function readWord(word: string, next: string | undefined, known: readonly Option[]): Reading | undefined {
  if (word.startsWith("--")) return readLong(word, next, known);
  return word.startsWith("-") && word !== "-" ? readShort(word, next, known) : undefined;
}

function readLong(word: string, next: string | undefined, known: readonly Option[]): Reading {
  const equals = word.indexOf("=");
  const name = word.slice(2, equals < 0 ? undefined : equals);
  // An option without a name is a word of the command.
  const option = equals === 2 ? known.find(({ takes }) => takes === "a word") : findLong(word, name, known);
  if (option === undefined) throw refusal(`unrecognised option '${word}'`);
  if (equals < 0) return takeNext([], option, next, known);
  if (equals === word.length - 1) {
    const named = name === "" ? "" : ` '--${option.name}'`;
    throw refusal(`the argument for option${named} should follow immediately after the equal sign`);
  }
  if (option.takes === "nothing") throw refusal(`option '--${option.name}' does not take any arguments`);
  return { given: [{ option, value: word.slice(equals + 1) }], tookNext: false };
}

function findLong(word: string, name: string, known: readonly Option[]): Option | undefined {
  const exact = known.find((option) => option.name === name);
  if (exact !== undefined || name === "") return exact;
  const meant = known.filter((option) => option.name.startsWith(name));
  if (meant.length < 2) return meant[0];
  const names = meant.map((option) => `'--${option.name}'`).toSorted();
  const all = `${names.slice(0, -1).join(", ")}, and ${names.at(-1)}`;
  throw refusal(`option '${word}' is ambiguous and matches ${all}`);
}

/** `-lc NAME`, `-lcNAME`: the last of them may have a value. */
function readShort(word: string, next: string | undefined, known: readonly Option[]): Reading {
  const given: { option: Option; value: string }[] = [];
  for (let at = 1; at < word.length; at++) {
    const option = known.find(({ short }) => short === word[at]);
    if (option === undefined) throw refusal(`unrecognised option '${word}'`);
    if (option.takes !== "nothing") {
      if (at + 1 === word.length) return takeNext(given, option, next, known);
      return { given: [...given, { option, value: word.slice(at + 1) }], tookNext: false };
    }
    given.push({ option, value: "" });
  }
  return { given, tookNext: false };
}

/** The option's value is the next word, whatever it looks like, unless that is a short option there is. */
function takeNext(
  before: Reading["given"],
  option: Option,
  next: string | undefined,
  known: readonly Option[],
): Reading {
  if (option.takes === "nothing") return { given: [...before, { option, value: "" }], tookNext: false };
  const isOption = next !== undefined && known.some(({ short }) => short !== undefined && next === `-${short}`);
  if (next === undefined || isOption) {
    throw refusal(`the required argument for option '--${option.name}' is missing`);
  }
  return { given: [...before, { option, value: next }], tookNext: true };
}
