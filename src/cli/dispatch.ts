import { UserError } from "../error.ts";
import { isUsers } from "../places.ts";
import { compileEarlier } from "../session/long.ts";
import type { Command, Common, Result } from "./command.ts";
import { type Verb, verbs } from "./commands/index.ts";
import { outputClosed } from "./exit.ts";
import { Mistake, type Parsed, parse } from "./parse.ts";

/** What else is done for a command line. */
interface Course {
  /** Called with the verb, before anything of it is loaded, and the words behind it. */
  readonly before?: (verb: Verb, words: readonly string[]) => Promise<void>;
}

/** Runs one command line of the caller's: by their own rights. @returns the exit status */
export async function dispatchForUser(argv: readonly string[]): Promise<number> {
  return isUsers ? (await import("./as-user.ts")).dispatchAsUser(argv) : dispatch(argv);
}

/** Runs one command line. @returns the exit status */
export async function dispatch(
  argv: readonly string[],
  table: readonly Verb[] = verbs,
  { before }: Course = {},
): Promise<number> {
  let verb: Command | undefined;
  try {
    const request = readRequest(argv, table);
    if (request.kind === "help") return await printHelp(table, request.topic);
    try {
      await before?.(request.verb, request.argv);
    } finally {
      verb = await request.verb.load();
    }
    if (request.verb.isLong === true) compileEarlier();
    const parsed = parse(verb, request.argv);
    if (parsed.help) return await printHelp(table, verb.name);
    return await perform(verb, parsed);
  } catch (error) {
    return fail(error, argv, table, verb);
  }
}

/** Says what went wrong. @returns the exit status */
export async function fail(
  thrown: unknown,
  argv: readonly string[],
  table: readonly Verb[] = verbs,
  verb?: Command,
): Promise<number> {
  const [{ report }, { explain }] = await Promise.all([import("./errors.ts"), import("./mistakes.ts")]);
  const error = thrown instanceof Mistake ? await explain(thrown, table, verb) : thrown;
  const own = argv.includes("--") ? argv.slice(0, argv.indexOf("--")) : argv;
  const verbose = own.includes("--verbose") || own.includes("-v");
  const status = report(error, { json: own.includes("--json"), verbose });
  return carriedStatus(error) ?? verb?.failureStatus ?? status;
}

/** 126 or 127, where the session layer says that it was the command that couldn't be run. */
function carriedStatus(error: unknown): number | undefined {
  return error instanceof UserError && "status" in error && typeof error.status === "number" ? error.status : undefined;
}

async function perform(verb: Command, { operands, options, common }: Parsed): Promise<number> {
  const result = await verb.run(operands, options, common);
  const isRead = await printResult(verb, result, common);
  let status = result.status ?? 0;
  if (result.errors !== undefined && result.errors.length > 0) {
    const { report } = await import("./errors.ts");
    const statuses = result.errors.map((error) => report(error, common));
    status = verb.failureStatus ?? statuses[0] ?? 1;
  }
  return isRead ? status : outputClosed;
}

async function printResult(verb: Command, { data, undo }: Result<unknown>, common: Common): Promise<boolean> {
  try {
    return data === undefined || (await print(verb, data, common));
  } catch (error) {
    // What can't be taken back is still listed; this error is the one to tell.
    await undo?.().catch(() => {});
    throw error;
  }
}

/** @returns false where nobody reads it */
async function print(verb: Command, data: unknown, common: Common): Promise<boolean> {
  const { jsonText, write } = await import("./print.ts");
  return write(1, common.json ? jsonText(data) : (verb.text?.(data, common) ?? ""));
}

type Request =
  | { readonly kind: "verb"; readonly verb: Verb; readonly argv: readonly string[] }
  | { readonly kind: "help"; readonly topic: string };

/** Finds the verb: its one or two words, before which only options that every verb has may stand. */
function readRequest(argv: readonly string[], table: readonly Verb[]): Request {
  // Nearly always; what follows costs a start 0.2 ms.
  for (const verb of table) {
    if (verb.name === argv[0] && verb.isFirstWord !== true) return { kind: "verb", verb, argv: argv.slice(1) };
  }
  const first = argv.findIndex((word) => !/^(--json|--quiet|--verbose|-[qv]+)$/.test(word));
  const [flags, words] = first === -1 ? [argv, []] : [argv.slice(0, first), argv.slice(first)];
  const [word = "", next = ""] = words;
  if (word === "--help" || word === "-h" || word === "help") return helpRequest(words.slice(1).join(" "), table);
  if (isGroup(word, table) && (next === "--help" || next === "-h")) return helpRequest(word, table);
  const isVersion = word === "--version" || word === "-V";
  const names = isVersion ? ["version"] : [`${word} ${next}`, word];
  const verb = names.map((name) => table.find((each) => each.name === name)).find((found) => found !== undefined);
  if (verb !== undefined) {
    return { kind: "verb", verb, argv: [...flags, ...words.slice(isVersion ? 1 : verb.name.split(" ").length)] };
  }
  throw new Mistake({ kind: "verb", word, next });
}

function helpRequest(topic: string, table: readonly Verb[]): Request {
  const isTopic = topic === "" || isGroup(topic, table) || table.some(({ name }) => name === topic);
  if (!isTopic) throw new Mistake({ kind: "verb", word: topic, next: "" });
  return { kind: "help", topic };
}

/** The first of two words: `chroot`. */
function isGroup(word: string, table: readonly Verb[]): boolean {
  return word !== "" && table.some(({ name }) => name.startsWith(`${word} `));
}

async function printHelp(table: readonly Verb[], topic: string): Promise<number> {
  const [{ helpText }, { write }] = await Promise.all([import("./help.ts"), import("./print.ts")]);
  return write(1, await helpText(table, topic)) ? 0 : outputClosed;
}
