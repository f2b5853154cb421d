import { diffSession } from "../../session/changes/diff.ts";
import { type CommitReport, commitSession, ConflictError } from "../../session/commit/commit.ts";
import { endLeft } from "../../session/keep.ts";
import type { Fate, Finished } from "../../session/once.ts";
import { isTerminal, report } from "../errors.ts";
import { write } from "../print.ts";
import { readLine } from "./answer.ts";
import { chooseChanges } from "./commit-ask.ts";
import { countText, showConflicts } from "./commit-text.ts";
import { changesScreen } from "./changes-screen.ts";
import { patchText } from "./diff-text.ts";

/** What becomes of what a command has changed in a session of its own, where that isn't just discarded. */
export type OnExit = "ask" | "keep" | "commit";

const help = `k  keep the session: fallthru run @ID goes on in it
c  commit all: write it to what lies below
p  pick: ask about each change, and commit those
s  show the patch
d  discard it (so does the end of the input)
`;

/** @returns what to do when the command has ended */
export function decider(how: OnExit): (finished: Finished) => Promise<Fate> {
  switch (how) {
    case "keep":
      return async ({ status }) => ({ session: "keep", status });
    case "commit":
      return commitOrKeep;
    case "ask":
      return ask;
  }
}

/** What isn't committed is kept: whoever asked for it doesn't want it lost. */
async function commitOrKeep({ hold, status }: Finished): Promise<Fate> {
  if (status !== 0) {
    write(2, "fallthru: the command failed, so nothing was committed\n");
    return { session: "keep", status };
  }
  const isDone = await commit({ hold, status }, {});
  return isDone ? { session: "discard", status } : { session: "keep", status: 125 };
}

/** Shows what was changed, and asks until somebody says what is to become of it. */
async function ask(finished: Finished): Promise<Fate> {
  const { hold, status } = finished;
  for (let isNew = true; ;) {
    const screen = isNew ? changesScreen(hold.id) : "";
    if (screen === undefined) return { session: "discard", status };
    write(2, `${screen}[k]eep, [c]ommit all, [p]ick, [s]how the patch, [d]iscard? `);
    const answer = readLine()?.trim().toLowerCase();
    isNew = false;
    switch (answer) {
      case undefined:
      case "d":
      case "discard":
        return { session: "discard", status };
      case "k":
      case "keep":
        return { session: "keep", status };
      case "c":
      case "commit":
        if (await commit(finished, {})) return { session: "discard", status };
        break;
      case "p":
      case "pick":
        isNew = await commit(finished, { choose: chooseChanges });
        break;
      case "s":
      case "show":
        write(2, patchOf(hold.id));
        break;
      default:
        write(2, help);
    }
  }
}

function patchOf(id: string): string | Buffer {
  const text = diffSession(id, {}, (diff) => patchText(diff.patches(), isTerminal(2) ? "terminal" : "file"));
  return text.length > 0 ? text : "nothing that a patch can say\n";
}

/** @returns whether it was done; what was in the way is said */
async function commit({ hold }: Finished, options: Parameters<typeof commitSession>[1]): Promise<boolean> {
  try {
    await endLeft(hold);
    tell(await commitSession(hold.id, { ...options, hold }));
    return true;
  } catch (error) {
    if (error instanceof ConflictError) write(2, showConflicts(error.conflicts));
    report(error, { json: false, verbose: false });
    return false;
  }
}

function tell({ commit: id, changes, targets, warnings }: CommitReport): void {
  for (const warning of warnings) write(2, `fallthru: ${warning}\n`);
  const what =
    id === undefined ? "nothing to commit" : `commit ${id}: ${countText(changes.length)} to ${targets.join(", ")}`;
  write(2, `${what}\n`);
}
