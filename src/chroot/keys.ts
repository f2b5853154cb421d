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
  readonly #missing: Problem[] = [];

  constructor(stanza: Stanza) {
    this.#stanza = stanza;
    this.#problems = [...stanza.problems];
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
      return parse(entry.value);
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      this.problem(`${key}: ${error.message}`, { key, hint: error.hint });
      return undefined;
    }
  }

  /** As take(), for a key that has to be there. */
  require<T>(key: string, parse: ParseValue<T>, fallback: T): T {
    const { file, name, line } = this.#stanza;
    if (!this.has(key)) this.#missing.push({ file, line, message: `[${name}] lacks the key ${JSON.stringify(key)}` });
    return this.take(key, parse, fallback);
  }

  /** Allows keys that say nothing any more. */
  ignore(...keys: readonly string[]): void {
    for (const key of keys) this.#known.add(key);
  }

  /** @param about where it stands: a key, else the stanza itself */
  problem(message: string, about: { readonly key?: string; readonly hint?: string | undefined } = {}): void {
    const { file, name, keys } = this.#stanza;
    const line = (about.key === undefined ? undefined : keys.get(about.key)?.line) ?? this.#stanza.line;
    this.#problems.push({ file, line, message: `[${name}] ${message}`, hint: about.hint });
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
        this.problem(`unknown key ${JSON.stringify(key)}`, { key, hint });
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

  /** Every problem, in the order of the lines; what is missing comes last, as a misspelt key is often the reason. */
  problems(): readonly Problem[] {
    return [...this.#problems.toSorted((a, b) => a.line - b.line), ...this.#missing];
  }
}

/** `description[fr]`: the description is the only key that has translations. */
function isTranslation(key: string): boolean {
  return /^description\[[^\][]+\]$/.test(key);
}

/**
 * An administrator's own keys (schroot.conf(5), "Customisation"); the prefixes are those whose variables schroot sets
 * itself, and ours.
 */
function isCustom(key: string): boolean {
  return (
    /^(?:[a-z][a-z0-9]*\.)+[a-z][a-z0-9-]*$/.test(key) &&
    !/^(?:auth|chroot|host|libexec|mount|session|status|sysconf|fallthru)\./.test(key) &&
    key !== "setup.data.dir"
  );
}
