import { nearNames } from "../chroot/names.ts";
import { UserError } from "../error.ts";
import { type Command, commonOptions, optionName, usageLine } from "./command.ts";
import type { Verb } from "./commands/index.ts";
import type { Mistake } from "./parse.ts";

/** Turns a mistake on the command line into an error that shows the way out. Loaded only for that. */
export async function explain({ detail }: Mistake, table: readonly Verb[], verb?: Command): Promise<UserError> {
  switch (detail.kind) {
    case "verb":
      return unknownVerb(detail.word, detail.next, table);
    case "option":
      return new UserError("usage", `${verb?.name} has no option ${detail.name}`, {
        hint: verb === undefined ? undefined : await optionHint(verb, detail),
      });
    case "surplus": {
      const hint = (await verb?.surplusHint?.(detail.operands)) ?? (verb === undefined ? undefined : usageLine(verb));
      return new UserError("usage", `${verb?.name} has no use for ${detail.left.join(" ")}`, { hint });
    }
  }
}

function unknownVerb(word: string, next: string, table: readonly Verb[]): UserError {
  const known = table.filter(({ isHidden }) => isHidden !== true).map(({ name }) => name);
  if (word === "") return new UserError("usage", "no verb given", { hint: "fallthru --help lists the verbs" });
  if (word.startsWith("-")) {
    const hint = "options stand behind the verb: fallthru run --help";
    return new UserError("usage", `no option ${word} before the verb`, { hint });
  }
  const group = known.filter((name) => name.startsWith(`${word} `));
  if (group.length > 0 && next === "") {
    return new UserError("usage", `${word} needs a second word`, { hint: `one of: ${group.join(", ")}` });
  }
  const typed = group.length > 0 ? `${word} ${next}` : word;
  const near = nearNames(typed, group.length > 0 ? group : known);
  const listing = group.length > 0 ? `one of: ${group.join(", ")}` : "fallthru --help lists the verbs";
  const hint = near.length > 0 ? `did you mean fallthru ${near.join(" or ")}?` : listing;
  return new UserError("usage", `no verb ${typed}`, { hint });
}

type UnknownOption = Extract<Mistake["detail"], { kind: "option" }>;

async function optionHint(verb: Command, { name, word, operands }: UnknownOption): Promise<string> {
  // Behind two operands it is most likely an option of the command, and `--` was forgotten.
  const forgotten = operands.length > 1 ? await verb.surplusHint?.([...operands, word]) : undefined;
  if (forgotten !== undefined) return forgotten;
  const known = Object.keys({ ...verb.options, ...commonOptions }).map((key) => `--${optionName(key)}`);
  const near = name.startsWith("--") ? nearNames(name, known) : [];
  if (near.length > 0) return `did you mean ${near.join(" or ")}?`;
  const takesCommand = Object.values(verb.operands).some(({ arity }) => arity === "command");
  const more = takesCommand ? "; options of the command stand behind --" : "";
  return `fallthru ${verb.name} --help lists the options${more}`;
}
