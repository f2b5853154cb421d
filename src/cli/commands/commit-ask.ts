import { UserError } from "../../error.ts";
import { quotePath } from "../../layer/quote.ts";
import { isTimesOnly } from "../../session/changes/diff.ts";
import { directoryOf } from "../../session/changes/names.ts";
import type { Change, UnionTrees } from "../../session/changes/types.ts";
import { type Unit, unitsOf } from "../../session/commit/select.ts";
import { write } from "../print.ts";
import { terminalSize } from "../progress.ts";
import type { SignalRelay } from "../../session/signals.ts";
import { ask as askLine } from "./answer.ts";

const help = `y  commit this change
n  leave it out
a  commit it, and all that follow
q  leave it out, and all that follow
d  show what it is, as much as fits on the screen
D  show all of it
?  this
`;

/** Goes through the changes and asks about each, on the terminal; a directory that came or went is asked about as a whole. @throws {Interrupted} */
export async function chooseChanges(
  changes: readonly Change[],
  trees: readonly UnionTrees[],
  signals: SignalRelay,
): Promise<readonly Change[]> {
  const chosen: Change[] = [];
  const units = unitsOf(changes.filter((change) => !isTimesOnly(change)));
  for (const [index, unit] of units.entries()) {
    const answer = await ask(`(${index + 1}/${units.length}) `, unit, trees, signals);
    if (answer === "q") break;
    if (answer === "n") continue;
    const taken = answer === "a" ? units.slice(index) : [unit];
    for (const { change, others } of taken) chosen.push(change, ...others);
    if (answer === "a") break;
  }
  return [...chosen, ...timesAround(chosen, changes)];
}

/** The times of the directories that the chosen changes are in: nobody wants to be asked about them. */
function timesAround(chosen: readonly Change[], changes: readonly Change[]): Change[] {
  const around = new Set<string>();
  for (const change of chosen) {
    around.add(`${change.union}:${directoryOf(change.path)}`);
    if (change.kind === "renamed") around.add(`${change.union}:${directoryOf(change.from)}`);
  }
  return changes.filter((change) => isTimesOnly(change) && around.has(`${change.union}:${change.path}`));
}

async function ask(
  where: string,
  unit: Unit,
  trees: readonly UnionTrees[],
  signals: SignalRelay,
): Promise<"y" | "n" | "a" | "q"> {
  for (;;) {
    const answer = (await askLine(`${where}${describe(unit, trees)}? [y,n,a,q,d,?] `, signals))?.trim();
    if (answer === undefined)
      throw new UserError("failed", "the input ended before all was asked: nothing was committed");
    switch (answer) {
      case "y":
      case "n":
      case "a":
      case "q":
        return answer;
      case "d":
      case "D":
        write(2, await detailsOf(unit, trees, answer === "d" ? terminalSize().rows : Infinity));
        continue;
      default:
        write(2, help);
    }
  }
}

const verbs: Readonly<Record<Change["kind"], string>> = {
  added: "add",
  deleted: "delete",
  modified: "change",
  renamed: "rename",
  type: "replace by another type",
};

function describe({ change, others }: Unit, trees: readonly UnionTrees[]): string {
  const at = trees[change.union]?.at ?? "/";
  const full = (path: string): string => quotePath(`${at === "/" ? "" : at}/${path}`);
  const from = change.kind === "renamed" ? `${full(change.from)} to ` : "";
  const aspects = change.kind === "modified" || change.kind === "renamed" ? change.aspects : [];
  const what = aspects.length === 0 ? "" : ` (${aspects.join(", ")})`;
  const more = others.length === 0 ? "" : ` with ${others.length} ${others.length === 1 ? "thing" : "things"} in it`;
  return `${verbs[change.kind]} ${from}${full(change.path)}${what}${more}`;
}

async function detailsOf(
  { change, others }: Unit,
  trees: readonly UnionTrees[],
  rows: number,
): Promise<string | Buffer> {
  const [{ makePatches }, { patchScreen, patchText }] = await Promise.all([
    import("../../session/changes/patch/patch.ts"),
    import("./diff-text.ts"),
  ]);
  const patch = patchText(makePatches(trees, [change, ...others]), "terminal");
  return patch.length > 0 ? patchScreen(patch, rows, "D") : "nothing that a patch can say\n";
}
