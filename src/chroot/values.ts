import { expressionOf } from "./expression.ts";
import { isPermittedName, nameHint, nameProblem } from "./names.ts";

/** Reads the text behind a key's `=`. @throws {BadValue} */
export type ParseValue<T> = (text: string) => T;

/** A value that its key doesn't take; whoever knows file and line makes a problem of it. */
export class BadValue extends Error {
  readonly hint: string | undefined;
  /** The key's default serves as well: schroot too warns only. */
  readonly isMild: boolean;

  constructor(message: string, hint?: string, weight: "grave" | "mild" = "grave") {
    super(message);
    this.name = "BadValue";
    this.hint = hint;
    this.isMild = weight === "mild";
  }
}

/** Free text: kept as it stands, `#` included. */
export const parseText: ParseValue<string> = (text) => text;

/** For keys whose empty value says the same as their absence. */
export function unlessEmpty<T>(parse: ParseValue<T>): ParseValue<T | undefined> {
  return (text) => (text === "" ? undefined : parse(text));
}

export const parseBoolean: ParseValue<boolean> = (text) => {
  if (["true", "yes", "1"].includes(text)) return true;
  if (["false", "no", "0"].includes(text)) return false;
  throw badWord(text, "true, yes, 1 or false, no, 0", "mild");
};

export function parseOneOf<const T extends string>(words: readonly T[]): ParseValue<T> {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found === undefined) throw badWord(text, words.join(", "));
    return found;
  };
}

/** A list with commas in between; white space around an item and empty items are dropped. */
export const parseList: ParseValue<readonly string[]> = (text) =>
  noComment(text)
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");

/** Names of users, groups or keys. A directory service's may have blanks inside, so only a comment is refused. */
export const parseNames: ParseValue<readonly string[]> = (text) => parseList(text);

export const parseAliases: ParseValue<readonly string[]> = (text) => {
  const aliases = [...new Set(parseNames(text))];
  for (const alias of aliases) {
    const problem = nameProblem(alias);
    if (problem !== undefined) throw new BadValue(problem, isPermittedName(alias) ? undefined : nameHint);
  }
  return aliases;
};

/** An absolute path without empty and `.` components; `..` stays, as links decide what it means. */
export const parseAbsolutePath: ParseValue<string> = (text) => {
  if (!noComment(text).startsWith("/")) throw new BadValue(`${JSON.stringify(text)} isn't an absolute path`);
  return collapse(checkPath(text));
};

export const parseAbsolutePaths: ParseValue<readonly string[]> = (text) => parseList(text).map(parseAbsolutePath);

/** A file's or directory's name below the configuration directory. */
export const parseConfigPath: ParseValue<string> = (text) => checkPath(noComment(text));

/** An extended regular expression. */
export const parseExpression: ParseValue<string> = (text) => {
  try {
    expressionOf(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new BadValue(`${JSON.stringify(text)} isn't a regular expression`, error.message);
  }
  return text;
};

function badWord(text: string, words: string, weight: "grave" | "mild" = "grave"): BadValue {
  return new BadValue(`${JSON.stringify(text)} isn't one of ${words}`, undefined, weight);
}

/** Whoever takes the key drops the comment then, with a warning. */
function noComment(text: string): string {
  if (hasComment(text)) throw new BadValue(`${JSON.stringify(text)} has a comment behind it`);
  return text;
}

/** Refuses what can't be the path that was meant: control characters, and bytes that weren't UTF-8. */
function checkPath(text: string): string {
  if (hasControl(text)) throw new BadValue(`${JSON.stringify(text)} has a control character`);
  if (text.includes("\uFFFD")) throw new BadValue(`${JSON.stringify(text)} isn't UTF-8`);
  return text;
}

/** Behind a value. The regular expressions of these two would cost each start 0.1 ms. */
export function hasComment(text: string): boolean {
  return text.includes("#") && /(?:^|\s)#/.test(text);
}

function hasControl(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}

function collapse(path: string): string {
  const components = path.split("/").filter((component) => component !== "" && component !== ".");
  return `/${components.join("/")}`;
}
