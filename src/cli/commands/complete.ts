import { readChroots } from "../../chroot/config.ts";
import { listSessions } from "../../session/list.ts";
import { command } from "../command.ts";
import { answer, type Answer } from "../completion/answer.ts";
import { verbs } from "./index.ts";

export const complete = command({
  name: "__complete",
  summary: "answer a press of the Tab key, for the scripts of fallthru completion",
  operands: { words: { arity: "command", summary: "what stands behind fallthru; the last is being typed" } },
  options: {},
  examples: [{ line: "fallthru __complete -- run ''", does: "everything that can stand behind run" }],
  exits: {},
  json: [],
  run: async ({ words }) => ({ data: await answer(verbs, words, { chroots, sessions }) }),
  text: ({ kind, from, prefix, words }: Answer) =>
    [`${kind}\t${from}\t${prefix}`, ...words.map(({ word, summary }) => `${word}\t${summary}`), ""].join("\n"),
});

function chroots(): string[] {
  return attempt(() => readChroots().chroots.flatMap(({ name, aliases }) => [name, ...aliases]));
}

function sessions(): string[] {
  return attempt(() => listSessions().map(({ id }) => id));
}

/** Nobody can be told here what is wrong with a file or a record; the verb itself will say it. */
function attempt(read: () => string[]): string[] {
  try {
    return read();
  } catch {
    return [];
  }
}
