import { readSync } from "node:fs";
import { UserError } from "../../error.ts";
import { quotePath } from "../../layer/quote.ts";
import type { Change, UnionTrees } from "../../session/changes/types.ts";
import { type Unit, unitsOf } from "../../session/commit/select.ts";
import { write } from "../print.ts";

const help = `y  commit this change
n  leave it out
a  commit it, and all that follow
q  leave it out, and all that follow
d  show what it is
?  this
`;

/** Goes through the changes and asks about each, on the terminal; a directory that came or went is asked about as a whole. */
export async function chooseChanges(
  changes: readonly Change[],
  trees: readonly UnionTrees[],
): Promise<readonly Change[]> {
  const chosen: Change[] = [];
  const units = unitsOf(changes);
  for (const [index, unit] of units.entries()) {
    const answer = await ask(`(${index + 1}/${units.length}) `, unit, trees);
    if (answer === "q") break;
    if (answer === "n") continue;
    const taken = answer === "a" ? units.slice(index) : [unit];
    for (const { change, others } of taken) chosen.push(change, ...others);
    if (answer === "a") break;
  }
  return chosen;
}

async function ask(where: string, unit: Unit, trees: readonly UnionTrees[]): Promise<"y" | "n" | "a" | "q"> {
  for (;;) {
    write(2, `${where}${describe(unit, trees)}? [y,n,a,q,d,?] `);
    const answer = readLine().trim();
    switch (answer) {
      case "y":
      case "n":
      case "a":
      case "q":
        return answer;
      case "d":
        write(2, await detailsOf(unit, trees));
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

/** One line from the terminal. */
function readLine(): string {
  const bytes: number[] = [];
  const one = Buffer.alloc(1);
  for (;;) {
    if (readSync(0, one) === 0) {
      if (bytes.length > 0) break;
      throw new UserError("failed", "the input ended before all was asked: nothing was committed");
    }
    if (one[0] === 0x0a) break;
    bytes.push(one[0] ?? 0);
  }
  return Buffer.from(bytes).toString("utf8");
}

async function detailsOf({ change, others }: Unit, trees: readonly UnionTrees[]): Promise<string | Buffer> {
  const [{ makePatches }, { patchText }] = await Promise.all([
    import("../../session/changes/patch/patch.ts"),
    import("./diff-text.ts"),
  ]);
  const patch = patchText(makePatches(trees, [change, ...others]), "terminal");
  return patch.length > 0 ? patch : "nothing that a patch can say\n";
}
