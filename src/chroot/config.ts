import { UserError } from "../error.ts";
import { readStanza } from "./chroot.ts";
import { hasSource } from "./cloned.ts";
import { type ConfigFiles, configDirectory, readConfigFiles, readTrusted } from "./files.ts";
import { keepKnown, type Known, type Overview, readKnown, type Stamp, stampOf } from "./known.ts";
import { nearNames } from "./names.ts";
import { parseConfig, type Stanza } from "./parse.ts";
import { joinHints, type Problem, problemError, problemText } from "./problem.ts";
import type { Chroot } from "./types.ts";
import { parseList } from "./values.ts";

/** Everything that is described, and everything that is wrong with the descriptions. */
export interface Configuration {
  /** By name. Those with a problem aren't among them. */
  readonly chroots: readonly Chroot[];
  readonly problems: readonly Problem[];
  /** What was taken as it was meant, though it is written otherwise. */
  readonly warnings: readonly Problem[];
}

/** Reads all chroots that are described below `directory`; one bad stanza or file spoils no other. */
export function readChroots(directory: string = configDirectory): Configuration {
  const { stanzas, problems, warnings } = readStanzas(directory);
  const chroots: Chroot[] = [];
  for (const [name, sameName] of Map.groupBy(stanzas, (stanza) => stanza.name)) {
    if (name !== "") problems.push(...repetitions(sameName));
    for (const stanza of sameName) {
      const reading = readStanza(stanza);
      if (reading.kind === "spoilt") problems.push(...reading.problems);
      else if (sameName.length === 1) {
        chroots.push(reading.chroot);
        warnings.push(...reading.chroot.warnings);
      }
    }
  }
  problems.push(...aliasProblems(stanzas));
  chroots.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { chroots, problems, warnings };
}

/** As readChroots(), for who lists them: hundreds are only looked at, where none was changed since the last time. */
export function readOverview(directory: string = configDirectory): Overview {
  const stamp = stampOf(directory);
  return ((stamp && readKnown(stamp, "overview")) ?? learn(directory, stamp)).overview;
}

/** Reads all of them, and keeps what was found for the next one where that can be. */
function learn(directory: string, stamp: Stamp | undefined): Known {
  const configuration = readChroots(directory);
  const overview = overviewOf(configuration);
  const known = { overview, files: overview.problems.length === 0 ? filesOf(configuration.chroots) : undefined };
  if (stamp?.isSettled === true) keepKnown(stamp, known);
  return known;
}

export function overviewOf({ chroots, problems, warnings }: Configuration): Overview {
  const withSource = chroots.filter(hasSource);
  const aliasesOfAll = (some: readonly Chroot[]) => some.flatMap(({ aliases }) => aliases).toSorted();
  return {
    names: chroots.map(({ name }) => name),
    aliases: aliasesOfAll(chroots),
    sources: withSource.map(({ name }) => name),
    sourceAliases: aliasesOfAll(withSource),
    plain: chroots.filter(({ type }) => type === "plain").map(({ name }) => name),
    problems,
    warnings,
  };
}

function filesOf(chroots: readonly Chroot[]): Record<string, string[]> {
  const files = new Map<string, string[]>();
  for (const { name, aliases, file } of chroots)
    for (const each of [name, ...aliases]) files.set(each, [...(files.get(each) ?? []), file]);
  return Object.fromEntries(files);
}

/**
 * The chroot of this name or, where none has it, of this alias. Only files that contain the name are parsed.
 * @throws {UserError} not-found; config with file and line where the description is wrong
 */
export function findChroot(name: string, directory: string = configDirectory): Chroot {
  const found = chooseKnown(name, directory);
  if (found.kind === "chroot") return found.chroot;
  if (found.kind === "nothing") throw notFound(name, directory, { names: found.names, problems: [] });
  const files = readConfigFiles(directory);
  const chroot = chooseChroot(name, readStanzas(directory, name, files).stanzas);
  if (chroot !== undefined) return chroot;
  const { stanzas, problems } = readStanzas(directory, "", files);
  throw notFound(name, directory, { names: allNames(stanzas), problems });
}

/** As findChroot(), for who asks whether there is one: nothing is parsed to say which names are near. */
export function findChrootIfAny(name: string, directory: string = configDirectory): Chroot | undefined {
  const found = chooseKnown(name, directory);
  if (found.kind === "chroot") return found.chroot;
  return found.kind === "nothing" ? undefined : chooseChroot(name, readStanzas(directory, name).stanzas);
}

type Choice =
  | { readonly kind: "unknown" }
  | { readonly kind: "chroot"; readonly chroot: Chroot }
  | { readonly kind: "nothing"; readonly names: readonly string[] }; // what is called so; all other names

/** Where it is known from before which files describe it: no other is read then. */
function chooseKnown(name: string, directory: string): Choice {
  const stamp = stampOf(directory);
  if (stamp === undefined) return { kind: "unknown" };
  const files = (readKnown(stamp, "files") ?? (stamp.isSettled ? learn(directory, stamp) : undefined))?.files;
  if (files === undefined) return { kind: "unknown" };
  const paths = Object.hasOwn(files, name) ? files[name] : undefined;
  if (paths === undefined) return { kind: "nothing", names: Object.keys(files) };
  const read = paths.flatMap((path) => readTrusted(path) ?? []).filter((file) => "content" in file);
  const chroot = chooseChroot(name, readStanzas(directory, name, { files: read, problems: [] }).stanzas);
  return chroot === undefined ? { kind: "unknown" } : { kind: "chroot", chroot };
}

function chooseChroot(name: string, stanzas: readonly Stanza[]): Chroot | undefined {
  const found = findDescriptions(stanzas, name);
  const [first] = found;
  if (first === undefined) return undefined;
  const [ambiguous] = first.name === name ? repetitions(found) : aliasProblems(found);
  if (ambiguous !== undefined) throw problemError(ambiguous);
  const reading = readStanza(first);
  if (reading.kind === "chroot") return reading.chroot;
  const [problem, ...others] = reading.problems;
  if (problem === undefined) throw new TypeError(`the stanza ${first.name} is spoilt by nothing`);
  throw problemError(problem, others.length);
}

/** The stanzas that mean `name`: those that are called so or, where none is, those that have it for an alias. */
export function findDescriptions(stanzas: readonly Stanza[], name: string): readonly Stanza[] {
  if (name === "") return [];
  const named = stanzas.filter((stanza) => stanza.name === name);
  return named.length > 0 ? named : stanzas.filter((stanza) => aliasesOf(stanza).includes(name));
}

/** @param mentioning leaves out files that don't contain this text */
export function readStanzas(
  directory: string,
  mentioning = "",
  { files, problems: fileProblems }: ConfigFiles = readConfigFiles(directory),
): { stanzas: Stanza[]; problems: Problem[]; warnings: Problem[] } {
  const problems = [...fileProblems];
  const warnings: Problem[] = [];
  const stanzas: Stanza[] = [];
  for (const { file, content } of files) {
    if (!content.includes(mentioning)) continue;
    const parsed = parseConfig(content, file);
    stanzas.push(...parsed.stanzas);
    problems.push(...parsed.problems);
    warnings.push(...parsed.warnings);
  }
  return { stanzas, problems, warnings };
}

/** Stanzas of one name: nobody can say which was meant, so none of them is used. */
function repetitions(sameName: readonly Stanza[]): Problem[] {
  const [first, ...others] = sameName;
  return others.map(({ file, line, name }) => ({
    file,
    line,
    message: `[${name}] is described twice; first at ${first?.file}:${first?.line}`,
  }));
}

/** Aliases that lead elsewhere: a chroot's own name wins, and two chroots can't share one. */
function aliasProblems(stanzas: readonly Stanza[]): Problem[] {
  const owners = new Map<string, Stanza>();
  for (const stanza of stanzas) owners.set(stanza.name, stanza);
  const problems: Problem[] = [];
  for (const stanza of stanzas) {
    for (const alias of aliasesOf(stanza)) {
      const owner = owners.get(alias);
      if (owner === undefined) owners.set(alias, stanza);
      if (owner === undefined || owner.name === stanza.name) continue;
      const message = `[${stanza.name}] the alias "${alias}" belongs to [${owner.name}] at ${owner.file}:${owner.line}`;
      problems.push({ file: stanza.file, line: stanza.keys.get("aliases")?.line ?? stanza.line, message });
    }
  }
  return problems;
}

function aliasesOf(stanza: Stanza): readonly string[] {
  const text = stanza.keys.get("aliases")?.value ?? "";
  return text === "" ? [] : parseList(text.replace(/(?:^|\s)#.*$/, ""));
}

export function allNames(stanzas: readonly Stanza[]): string[] {
  return stanzas.flatMap((stanza) => [stanza.name, ...aliasesOf(stanza)]);
}

/** What to throw where nothing is called `name`, and what is described is called by these names. */
export function notFound(
  name: string,
  directory: string,
  { names, problems }: { readonly names: readonly string[]; readonly problems: readonly Problem[] },
): UserError {
  const known = names.filter((other) => other !== "");
  const near = nearNames(name, known);
  const [unread] = problems.filter((problem) => problem.line === 0);
  const hints: string[] = [];
  if (near.length > 0) hints.push(`did you mean ${near.join(" or ")}?`);
  if (unread !== undefined) hints.push(problemText(unread));
  hints.push(known.length === 0 ? "`fallthru chroot create` makes one" : "`fallthru chroot list` shows all");
  return new UserError("not-found", `no chroot ${JSON.stringify(name)} in ${directory}`, { hint: joinHints(hints) });
}
