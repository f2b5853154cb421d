import { type Command, type Completes, commonOptions, optionName, type OptionSpec } from "../command.ts";
import type { Verb } from "../commands/index.ts";

/** What the shell is to offer: words of ours, or what it knows itself how to find. */
export interface Answer {
  /** `command`: a command line of its own begins at the word `from`, counted from 0 behind `fallthru`. */
  readonly kind: "words" | "file" | "directory" | "user" | "command";
  readonly words: readonly Candidate[];
  /** What of the current word stays as it is: `--bind=`. */
  readonly prefix: string;
  readonly from: number;
}

export interface Candidate {
  readonly word: string;
  readonly summary: string;
}

/** Where names come from; each is asked only when it is needed. */
export interface Names {
  chroots(): readonly string[];
  sessions(): readonly string[];
}

/**
 * Answers a press of the Tab key. The three shells' scripts only carry the words here and the answer back.
 * @param words what stands behind `fallthru`; the last is the one being typed, perhaps empty
 */
export async function answer(table: readonly Verb[], words: readonly string[], names: Names): Promise<Answer> {
  const current = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const start = before.findIndex((word) => !word.startsWith("-"));
  const shown = table.filter(({ isHidden }) => isHidden !== true);
  if (start === -1) return ours(current, current.startsWith("-") ? globalOptions() : await firstWords(shown));
  const [word = "", next = ""] = before.slice(start);
  const isGroup = shown.some(({ name }) => name.startsWith(`${word} `));
  if (isGroup && before.length === start + 1) return ours(current, await secondWords(shown, word));
  const verb = shown.find(({ name }) => name === `${word} ${next}`) ?? shown.find(({ name }) => name === word);
  if (verb === undefined) return ours(current, []);
  const skipped = start + verb.name.split(" ").length;
  return verbAnswer(await verb.load(), before.slice(skipped), current, { names, skipped });
}

function verbAnswer(
  verb: Command,
  before: readonly string[],
  current: string,
  context: { names: Names; skipped: number },
): Answer {
  const operands = Object.values(verb.operands);
  const dashes = before.indexOf("--");
  const takesCommand = operands.some(({ arity }) => arity === "command");
  if (dashes !== -1 && takesCommand)
    return { kind: "command", words: [], prefix: "", from: context.skipped + dashes + 1 };
  const specs: Readonly<Record<string, OptionSpec>> = { ...verb.options, ...commonOptions };
  const { given, open, count } = walk(specs, before);
  if (open !== undefined) return valueAnswer(open.completes, current, "", context.names);
  const equals = current.indexOf("=");
  if (dashes === -1 && current.startsWith("--") && equals !== -1) {
    const spec = specOf(specs, current.slice(0, equals));
    return valueAnswer(spec?.completes ?? [], current.slice(equals + 1), current.slice(0, equals + 1), context.names);
  }
  if (dashes === -1 && current.startsWith("-")) return ours(current, optionWords(specs, given, takesCommand));
  const place = operands[Math.min(count, operands.length - 1)];
  if (place === undefined || (count >= operands.length && place.arity !== "many" && place.arity !== "any"))
    return ours(current, []);
  if (place.arity === "command") return ours(current, [{ word: "--", summary: "the command comes next" }]);
  const found = valueAnswer(place.completes ?? [], current, "", context.names);
  return { ...found, words: found.words.filter(({ word }) => !before.includes(word)) };
}

/** Which options are there already, whether the last still waits for its value, and how many operands there are. */
function walk(specs: Readonly<Record<string, OptionSpec>>, before: readonly string[]) {
  const given = new Set<OptionSpec>();
  let open: OptionSpec | undefined;
  let count = 0;
  for (const word of before) {
    if (open !== undefined) open = undefined;
    else if (!word.startsWith("-") || word === "-") count++;
    else {
      const spec = specOf(specs, word.includes("=") ? word.slice(0, word.indexOf("=")) : word);
      if (spec === undefined) continue;
      given.add(spec);
      if (spec.type !== "boolean" && !word.includes("=")) open = spec;
    }
  }
  return { given, open, count };
}

/** The option that `--name`, or the last letter of `-abc`, stands for. */
function specOf(specs: Readonly<Record<string, OptionSpec>>, word: string): OptionSpec | undefined {
  const entries = Object.entries(specs);
  if (word.startsWith("--")) return entries.find(([key]) => `--${optionName(key)}` === word)?.[1];
  return entries.find(([, { short }]) => short !== undefined && short === word.at(-1))?.[1];
}

function valueAnswer(completes: Completes | undefined, current: string, prefix: string, names: Names): Answer {
  if (completes === "file" || completes === "directory" || completes === "user")
    return { kind: completes, words: [], prefix, from: 0 };
  const words = (list: readonly string[], summary: string) => list.map((word) => ({ word, summary }));
  const chroots = () => words(names.chroots(), "chroot");
  const sessions = (mark: string) =>
    words(
      names.sessions().map((id) => `${mark}${id}`),
      "session",
    );
  if (completes === "chroot") return ours(current, chroots(), prefix);
  if (completes === "session")
    return ours(current, sessions(current === "" || current.startsWith("@") ? "@" : ""), prefix);
  if (completes === "source")
    return ours(current, [...words(["host"], "this machine's own root"), ...chroots(), ...sessions("@")], prefix);
  return ours(current, words(completes ?? [], ""), prefix);
}

function ours(current: string, candidates: readonly Candidate[], prefix = ""): Answer {
  return { kind: "words", words: candidates.filter(({ word }) => word.startsWith(current)), prefix, from: 0 };
}

function optionWords(
  specs: Readonly<Record<string, OptionSpec>>,
  given: ReadonlySet<OptionSpec>,
  takesCommand: boolean,
): Candidate[] {
  const left = Object.entries(specs).filter(([, spec]) => spec.type === "strings" || !given.has(spec));
  const options = left.map(([key, { summary }]) => ({ word: `--${optionName(key)}`, summary }));
  return takesCommand ? [...options, { word: "--", summary: "the command comes next" }] : options;
}

function globalOptions(): Candidate[] {
  return [...optionWords(commonOptions, new Set(), false), { word: "--version", summary: "print the version" }];
}

async function firstWords(shown: readonly Verb[]): Promise<Candidate[]> {
  const verbs = await Promise.all(shown.map(({ load }) => load()));
  const firstOf = (name: string): string => name.split(" ")[0] ?? name;
  const groups = Map.groupBy(verbs, ({ name }) => firstOf(name));
  return [...groups].map(([word, all]) => {
    const own = all.find(({ name }) => name === word);
    return { word, summary: own?.summary ?? all.map(({ name }) => name.slice(word.length + 1)).join(", ") };
  });
}

async function secondWords(shown: readonly Verb[], word: string): Promise<Candidate[]> {
  const verbs = await Promise.all(shown.filter(({ name }) => name.startsWith(`${word} `)).map(({ load }) => load()));
  return verbs.map(({ name, summary }) => ({ word: name.slice(word.length + 1), summary }));
}
