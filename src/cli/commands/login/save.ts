import { quotePath } from "../../../session/changes/diff.ts";
import type { SaveReport } from "../../../session/home/save.ts";
import { saveGiven } from "../../../session/home/start.ts";
import { command } from "../../command.ts";
import { visible, write } from "../../print.ts";

/** What is started as the person: which files, and from where, it has as its descriptors 0 and 1. */
export const save = command({
  name: "login-save",
  summary: "copy files of a home in a session to the real one",
  operands: {
    directory: { arity: "one", summary: "the real home" },
    since: { arity: "one", summary: "what was changed there from then on stays: milliseconds since 1970" },
  },
  options: { into: { type: "string", summary: "a directory in the real home, instead of that itself" } },
  examples: [{ line: "fallthru login", does: "ends with it, where login.keep=ask" }],
  exits: { 1: "what wasn't copied isn't the person's to have, or no file", 2: "not all were copied" },
  json: [],
  failureStatus: 2,
  run: ({ directory, since }, { into }) => {
    const { report, directory: place, status } = saveGiven(directory, Number(since), into);
    write(2, reportText(place, report));
    return { status };
  },
});

function reportText(directory: string, { saved, beside, failed, full }: SaveReport): string {
  const at = (path: string): string => `${directory}/${quotePath(path)}`;
  const lines = [
    ...beside.map(({ path, as }) => `${at(path)} was changed meanwhile, and stays: yours is ${at(as)}`),
    ...failed.map(({ path, reason }) => `not saved: ${at(path)}: ${reason}`),
    ...(full === undefined ? [] : [`not saved: ${full.left} ${full.left === 1 ? "file" : "files"}: ${full.reason}`]),
    `saved ${saved} ${saved === 1 ? "file" : "files"} to ${directory}`,
  ];
  return lines.map((line) => `${visible(line)}\n`).join("");
}
