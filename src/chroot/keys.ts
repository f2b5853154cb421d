import { nearNames } from "./names.ts";
import type { Stanza } from "./parse.ts";
import type { Problem } from "./problem.ts";
import { BadValue, type ParseValue } from "./values.ts";

/**
 * The keys of one stanza while a chroot is made of them. Whoever takes a key thereby says that it exists: what nobody
 * took is an unknown key. Problems are collected, not thrown, so that one look shows all of them.
 */
export class KeyReader {
  readonly #stanza: Stanza;
  readonly #known = new Set<string>();
  readonly #problems: Problem[];
  readonly #warnings: Problem[];
  readonly #missing: Problem[] = [];

  constructor(stanza: Stanza) {
    this.#stanza = stanza;
    this.#problems = [...stanza.problems];
    this.#warnings = [...stanza.warnings];
  }

  has(key: string): boolean {
    this.#known.add(key);
    return this.#stanza.keys.has(key);
  }

  /** The value of `key`; `fallback` where it is missing, and where it is bad, which then is a problem. */
  take<T>(key: string, parse: ParseValue<T>, fallback: T): T {
    return this.takeOptional(key, parse) ?? fallback;
  }

  /** As take(), with nothing to fall back to. */
  takeOptional<T>(key: string, parse: ParseValue<T>): T | undefined {
    this.#known.add(key);
    const entry = this.#stanza.keys.get(key);
    if (entry === undefined) return undefined;
    try {
      const value = parse(entry.value);
      if (Array.isArray(value) && entry.value.includes(",") && /\s,|,\s/.test(entry.value))
        this.warning(`${key}: white space in the list is dropped, which schroot takes for a part of the names`, {
          key,
        });
      return value;
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      return this.#takeAsMeant(key, entry.value, parse, error);
    }
  }

  /** schroot.conf(5) promises comments behind a value; schroot has always taken them for a part of it. */
  #takeAsMeant<T>(key: string, text: string, parse: ParseValue<T>, error: BadValue): T | undefined {
    const comment = text.search(/(?:^|\s)#/);
    try {
      if (comment >= 0) {
        const value = parse(text.slice(0, comment).trim());
        this.warning(`${key}: the comment behind the value is dropped, which schroot takes for a part of it`, { key });
        return value;
      }
    } catch (again) {
      if (!(again instanceof BadValue)) throw again;
    }
    const message = `${key}: ${error.message}`;
    if (error.isMild) this.warning(message, { key, hint: error.hint });
    else this.problem(message, { key, hint: error.hint });
    return undefined;
  }

  /** As take(), for a key that has to be there. */
  require<T>(key: string, parse: ParseValue<T>, fallback: T): T {
    const { file, name, line } = this.#stanza;
    if (!this.has(key)) this.#missing.push({ file, line, message: `[${name}] lacks the key ${JSON.stringify(key)}` });
    return this.take(key, parse, fallback);
  }

  problem(message: string, about: About = {}): void {
    this.#problems.push(this.#locate(message, about));
  }

  /** Something that doesn't keep the chroot from being used. */
  warning(message: string, about: About = {}): void {
    this.#warnings.push(this.#locate(message, about));
  }

  #locate(message: string, about: About): Problem {
    const { file, name, keys } = this.#stanza;
    const line = (about.key === undefined ? undefined : keys.get(about.key)?.line) ?? this.#stanza.line;
    return { file, line, message: `[${name}] ${message}`, hint: about.hint };
  }

  /** Sorts the keys that nobody took into custom ones, which it returns, and unknown ones. */
  takeCustom(): Record<string, string> {
    const custom: Record<string, string> = {};
    const variables = new Map<string, string>();
    for (const [key, { value }] of this.#stanza.keys) {
      if (this.#known.has(key) || isTranslation(key)) continue;
      if (!isCustom(key)) {
        const near = nearNames(key, this.#known).map((name) => JSON.stringify(name));
        const hint = near.length === 0 ? undefined : `did you mean ${near.join(" or ")}?`;
        this.warning(`unknown key ${JSON.stringify(key)}`, { key, hint });
        continue;
      }
      const variable = key.toUpperCase().replace(/[.-]/g, "_");
      const other = variables.get(variable);
      if (other !== undefined) this.problem(`the keys ${other} and ${key} would both set ${variable}`, { key });
      variables.set(variable, key);
      custom[key] = value;
    }
    return custom;
  }

  /**
   * What is wrong, in the order of the lines, warnings too; what is missing comes last, as a misspelt key is often the
   * reason. Empty where nothing but warnings is there.
   */
  problems(): readonly Problem[] {
    if (this.#problems.length + this.#missing.length === 0) return [];
    return [...[...this.#problems, ...this.#warnings].toSorted((a, b) => a.line - b.line), ...this.#missing];
  }

  warnings(): readonly Problem[] {
    return this.#warnings.toSorted((a, b) => a.line - b.line);
  }

  /** The values of `key[LOCALE]`, by locale. */
  translations(key: string): Record<string, string> {
    const found: Record<string, string> = {};
    for (const [name, { value }] of this.#stanza.keys)
      if (isTranslation(name)) found[name.slice(key.length + 1, -1)] = value;
    return found;
  }
}

/** Where a problem stands, a key, else the stanza itself; and the way out. */
interface About {
  readonly key?: string;
  readonly hint?: string | undefined;
}

/** `description[fr]`: the description is the only key that has translations. */
function isTranslation(key: string): boolean {
  return key.startsWith("description[") && /^description\[[^\][]+\]$/.test(key);
}

/**
 * An administrator's own keys (schroot.conf(5), "Customisation"); the prefixes are those whose variables schroot sets
 * itself, and ours.
 */
function isCustom(key: string): boolean {
  return (
    /^(?:[a-z][a-z0-9]*\.)+[a-z][a-z0-9-]*$/.test(key) &&
    !/^(?:auth|chroot|host|libexec|mount|session|status|sysconf|fallthru|login)\./.test(key) &&
    key !== "setup.data.dir"
  );
}
