import { diffSession } from "../../session/changes/diff.ts";
import { type CommitReport, commitSession, ConflictError } from "../../session/commit/commit.ts";
import { endLeft } from "../../session/keep.ts";
import type { Fate, Finished } from "../../session/once.ts";
import { prepareTerminal } from "../../session/question.ts";
import { isTerminal } from "../../session/terminal.ts";
import { report } from "../errors.ts";
import { write } from "../print.ts";
import { terminalSize } from "../progress.ts";
import { ask as askLine, Interrupted } from "./answer.ts";
import { chooseChanges } from "./commit-ask.ts";
import { countText, showConflicts } from "./commit-text.ts";
import { changesScreen } from "./changes-screen.ts";
import { patchScreen, patchText } from "./diff-text.ts";

/** What becomes of what a command has changed in a session of its own, where that isn't just discarded. */
export type OnExit = "ask" | "keep" | "commit";

const help = `k  keep the session: fallthru run @ID goes on in it
c  commit all: write it to what lies below
p  pick: ask about each change, and commit those
s  show the patch, as much as fits on the screen; S  all of it
d  discard it (so does a second Ctrl-D; whatever else ends this keeps the session)
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
async function commitOrKeep(finished: Finished): Promise<Fate> {
  const { status } = finished;
  if (status !== 0) {
    write(2, "fallthru: the command failed, so nothing was committed\n");
    return { session: "keep", status };
  }
  const isDone = await commit(finished, {});
  return isDone ? { session: "discard", status } : { session: "keep", status: 125 };
}

/** Who doesn't answer doesn't lose anything. */
async function ask(finished: Finished): Promise<Fate> {
  try {
    return await askUntilAnswered(finished);
  } catch (error) {
    if (error instanceof Interrupted) return { session: "keep", status: error.status };
    throw error;
  }
}

/** Shows what was changed, and asks until somebody says what is to become of it. @throws {Interrupted} */
async function askUntilAnswered(finished: Finished): Promise<Fate> {
  const { hold, status, signals } = finished;
  let ends = 0;
  let screen = changesScreen(hold.id);
  if (screen === undefined) return { session: "discard", status };
  using _terminal = prepareTerminal();
  for (let isNew = false; ;) {
    if (isNew) screen = changesScreen(hold.id);
    if (screen === undefined) return { session: "discard", status };
    write(2, screen);
    screen = "";
    const answer = await askLine("[k]eep, [c]ommit all, [p]ick, [s]how the patch, [d]iscard? ", signals);
    isNew = false;
    ends = answer === undefined ? ends + 1 : 0;
    // Ctrl-D is how a shell is left, and may have been pressed twice.
    if (ends > 1) return { session: "discard", status };
    const word = answer?.trim();
    switch (word === "S" ? word : word?.toLowerCase()) {
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
        isNew = await commit(finished, { choose: (changes, trees) => chooseChanges(changes, trees, signals) });
        break;
      case "s":
      case "show":
        write(2, patchOf(hold.id, terminalSize().rows));
        break;
      case "S":
        write(2, patchOf(hold.id, Infinity));
        break;
      default:
        write(2, answer === undefined ? `\n${help}` : help);
    }
  }
}

function patchOf(id: string, rows: number): string | Buffer {
  const to = isTerminal(2) ? "terminal" : "file";
  const text = diffSession(id, {}, (diff) => patchText(diff.patches(), to));
  return text.length > 0
    ? patchScreen(text, to === "terminal" ? rows : Infinity, "S")
    : "nothing that a patch can say\n";
}

/** @returns whether it was done; what was in the way is said */
async function commit({ hold }: Finished, options: Parameters<typeof commitSession>[1]): Promise<boolean> {
  try {
    await endLeft(hold);
    tell(await commitSession(hold.id, { ...options, hold }));
    return true;
  } catch (error) {
    if (error instanceof Interrupted) throw error;
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
