/** What the shell offers where this is expected; a list of words is also what is accepted. */
export type Completes =
  | "chroot"
  | "session" //   with and without its @
  | "source" //    a chroot, `host`, or @session
  | "file"
  | "directory"
  | "user"
  | readonly string[];

interface OptionBase {
  readonly summary: string;
  /** One letter, without its dash. */
  readonly short?: string;
  /** What stands for the value in the help: `NAME`, `DIR`; without it the type in capitals. */
  readonly placeholder?: string;
  readonly completes?: Completes;
}

/** `size` is given as 512M and is bytes, `duration` as 90m and is seconds; `strings` may be given several times. */
export type OptionSpec =
  | (OptionBase & { readonly type: "boolean" | "strings" })
  | (OptionBase & { readonly type: "string"; readonly default?: string })
  | (OptionBase & { readonly type: "size" | "duration" | "number"; readonly default?: number });

/** `many` is one or more, `any` none or more; `command` is everything after `--`, verbatim. */
export type Arity = "one" | "optional" | "many" | "any" | "command";

export interface OperandSpec {
  readonly arity: Arity;
  readonly summary: string;
  readonly completes?: Completes;
}

type OptionSpecs = Readonly<Record<string, OptionSpec>>;
type OperandSpecs = Readonly<Record<string, OperandSpec>>;

export type OptionValue = boolean | string | number | readonly string[] | undefined;
export type OperandValue = string | readonly string[] | undefined;

type Given<S, T> = S extends { readonly default: unknown } ? T : T | undefined;
type Typed<S> = S extends { readonly type: "boolean" }
  ? boolean
  : S extends { readonly type: "strings" }
    ? readonly string[]
    : S extends { readonly completes: readonly (infer Word extends string)[] }
      ? Given<S, Word>
      : Given<S, S extends { readonly type: "string" } ? string : number>;

export type OptionsOf<O extends OptionSpecs> = { readonly [K in keyof O]: Typed<O[K]> };
export type OperandsOf<P extends OperandSpecs> = {
  readonly [K in keyof P]: P[K]["arity"] extends "one"
    ? P[K] extends { readonly completes: readonly (infer Word extends string)[] }
      ? Word
      : string
    : P[K]["arity"] extends "optional"
      ? string | undefined
      : readonly string[];
};

/** The options that every verb has, beside --help. */
export interface Common {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
}

/** What a verb hands back: data to print, several errors where some operands went well, a status of its own. */
export interface Result<D> {
  readonly data?: D;
  readonly errors?: readonly unknown[];
  readonly status?: number;
  /** Takes back what was done, where the data can't be printed: the disk of the output is full. */
  readonly undo?: () => Promise<unknown>;
}

/** One field of the JSON output, for docs/json.md; `sessions[].id` is a field of a list's members. */
export interface JsonField {
  readonly name: string;
  readonly type: string;
  readonly summary: string;
}

/** A verb as data: parsing, help, completion, manual page and docs/json.md all come from it. */
export interface Declaration<P extends OperandSpecs, O extends OptionSpecs, D> {
  /** As typed: `end`, `chroot create`. */
  readonly name: string;
  /** One line that says what it does, in the imperative, without a full stop. */
  readonly summary: string;
  /** Paragraphs of the manual page. */
  readonly description?: readonly string[];
  readonly operands: P;
  /** By their names in camel case: `pidNamespace` is --pid-namespace. */
  readonly options: O;
  readonly examples: readonly { readonly line: string; readonly does: string }[];
  /** What its exit statuses mean, beside those that every verb has (exit.ts). */
  readonly exits: Readonly<Record<string, string>>;
  /** The status of all our own failures, where the verb's status is somebody else's. */
  readonly failureStatus?: number;
  readonly json: readonly JsonField[];
  /** The hint for more operands than it takes; it may be slow. */
  surplusHint?(operands: readonly string[]): Promise<string>;
  run(operands: OperandsOf<P>, options: OptionsOf<O>, common: Common): Result<D> | Promise<Result<D>>;
  /** The data for people; without it nothing is printed unless --json is given. Bytes are written as they are. */
  text?(data: D, common: Common): string | Uint8Array;
}

/** A verb whose types are checked already: what the parser hands it is what it declared. */
export interface Command extends Omit<Declaration<OperandSpecs, OptionSpecs, unknown>, "run"> {
  run(
    operands: Readonly<Record<string, OperandValue>>,
    options: Readonly<Record<string, OptionValue>>,
    common: Common,
  ): Result<unknown> | Promise<Result<unknown>>;
}

/** Declares a verb; `run` gets its operands and options with the types that the declaration gives them. */
export function command<const P extends OperandSpecs, const O extends OptionSpecs, D>(
  spec: Declaration<P, O, D>,
): Command {
  return spec;
}

/** `pidNamespace` as it is typed: `pid-namespace`. */
export function optionName(key: string): string {
  // Most are one word, and the first use of such an expression costs a start 0.04 ms.
  if (key === key.toLowerCase()) return key;
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The options that every verb has, in the same form as its own. */
export const commonOptions = {
  json: { type: "boolean", summary: "print JSON, errors too (see docs/json.md)" },
  quiet: { type: "boolean", short: "q", summary: "print results and errors only" },
  verbose: { type: "boolean", short: "v", summary: "with an error, say what caused it" },
  help: { type: "boolean", short: "h", summary: "show this help" },
} as const satisfies OptionSpecs;

/** What stands for an option's value in the help, or nothing for a boolean one. */
export function placeholderOf(spec: OptionSpec): string | undefined {
  if (spec.type === "boolean") return undefined;
  if (spec.placeholder !== undefined) return spec.placeholder;
  if (Array.isArray(spec.completes)) return spec.completes.join("|");
  return spec.type === "strings" ? "STRING" : spec.type.toUpperCase();
}

/** How an operand stands in a line of usage. */
function operandUsage(name: string, arity: Arity): string {
  const upper = name.toUpperCase();
  switch (arity) {
    case "one":
      return upper;
    case "optional":
      return `[${upper}]`;
    case "many":
      return `${upper}...`;
    case "any":
      return `[${upper}...]`;
    case "command":
      return `[-- ${upper} [ARGUMENT...]]`;
  }
}

/** `fallthru end [options] SESSION...` */
export function usageLine(verb: Command): string {
  const operands = Object.entries(verb.operands).map(([name, { arity }]) => operandUsage(name, arity));
  return ["fallthru", verb.name, "[options]", ...operands].join(" ");
}
