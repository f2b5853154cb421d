import { UserError } from "../../../error.ts";
import { goOn, noAnswer } from "../../../frontend/login/keep.ts";
import { isHistory, madeChanges, passingFiles, type PassingHome } from "../../../session/home/files.ts";
import { dieWithParent, saveAs } from "../../../session/home/start.ts";
import { diffSession, quotePath } from "../../../session/changes/diff.ts";
import { command } from "../../command.ts";
import { report } from "../../errors.ts";
import { write } from "../../print.ts";
import { ask as askLine, Interrupted } from "../answer.ts";
import { changesScreen } from "../changes-screen.ts";
import { listText } from "../diff-text.ts";

/** What the service runs on a person's terminal at their last logout. */
export const keep = command({
  name: "login-keep",
  summary: "ask what of a person's home is to be saved from a session that is about to go",
  operands: {
    session: { arity: "one", summary: "its id" },
    directory: { arity: "one", summary: "the person's home" },
  },
  options: {
    ids: { type: "string", summary: "uid, gid and supplementary groups" },
    home: { type: "string", completes: ["real", "copy", "tmpfs"], summary: "what the home is in the session" },
  },
  examples: [{ line: "fallthru login", does: "ends with it, where login.keep=ask" }],
  exits: {
    0: "the person has said what is to become of it",
    [goOn]: "the person wants to go on",
    [noAnswer]: "nobody is there",
  },
  json: [],
  run: async ({ session, directory }, { ids = "", home: kind = "real" }) => {
    dieWithParent();
    const [uid, gid, ...groups] = ids.split(",").map(Number);
    if (uid === undefined || gid === undefined) throw new UserError("usage", "whose home?");
    return { status: await askOrLeave({ id: session, path: directory, kind }, { uid, gid, groups }) };
  },
});

interface Person {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

const texts = {
  s: "s  save all files of your home that are listed: they are copied to the real one, and the session ends",
  p: "p  pick: be asked about each of them",
  l: "l  list all changes",
  b: "b  go back into the session",
  d: "d  drop everything",
} as const;

/** Who has closed the terminal can't be asked, nor told. */
async function askOrLeave(home: PassingHome, person: Person): Promise<number> {
  try {
    return await ask(home, person);
  } catch (error) {
    if (error instanceof Interrupted) return noAnswer;
    throw error;
  }
}

/** Shows what would be lost, and asks until somebody says what is to become of it. @throws {Interrupted} */
async function ask(home: PassingHome, person: Person): Promise<number> {
  let ends = 0;
  for (let isNew = true; ;) {
    const screen = isNew ? changesScreen(home.id, tried(() => madeChanges(home)) ?? []) : "";
    if (screen === undefined) return 0;
    const files = tried(() => passingFiles(home)) ?? [];
    const what = files.length === 0 ? "" : "[s]ave what is in your home, [p]ick, ";
    if (isNew) write(2, `\nThis is lost with your session:\n${screen}`);
    const answer = (await askLine(`${what}[l]ist, [b]ack, [d]rop everything? `))?.trim().toLowerCase();
    isNew = false;
    ends = answer === undefined ? ends + 1 : 0;
    // Ctrl-D was how the shell ended, and may have been pressed twice.
    if (ends > 1) return leaveUnanswered(files);
    if (answer === "d" || answer === "drop") return 0;
    if (answer === "b" || answer === "back") return goOn;
    if (answer === "s" || answer === "save") {
      if (files.length > 0 && (await save(home, person, files))) return 0;
    } else if (answer === "p" || answer === "pick") {
      const chosen = await pick(home, files);
      if (chosen.length > 0) await save(home, person, chosen);
    } else if (answer === "l" || answer === "list") write(2, tried(() => listOf(home)) ?? "");
    else {
      const lines = Object.entries(texts).filter(([letter]) => files.length > 0 || !"sp".includes(letter));
      write(2, `${answer === undefined ? "\n" : ""}${lines.map(([, text]) => `${text}\n`).join("")}`);
    }
  }
}

function leaveUnanswered(files: readonly string[]): number {
  if (!files.every((file) => isHistory(file))) write(2, "\nyour files go to ~/unsaved\n");
  return noAnswer;
}

/** What fails is said, and the question goes on: it is the last chance of what would be lost. */
function tried<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    report(error, { json: false, verbose: false });
    return undefined;
  }
}

async function save(home: PassingHome, person: Person, paths: readonly string[]): Promise<boolean> {
  try {
    return (await saveAs(person, home, paths)) === "whole";
  } catch (error) {
    report(error, { json: false, verbose: false });
    return false;
  }
}

function listOf(home: PassingHome): string {
  return diffSession(home.id, {}, (diff) => {
    const { packages, timesOnly } = diff;
    const changes = [...diff.changes, ...madeChanges(home)];
    return listText({ changes, packages, timesOnly }, false);
  });
}

async function pick({ path }: PassingHome, files: readonly string[]): Promise<string[]> {
  const chosen: string[] = [];
  for (const [index, file] of files.entries()) {
    const answer = await askAbout(`(${index + 1}/${files.length}) save ${path}/${quotePath(file)}? [y,n,a,q] `);
    if (answer === "q") break;
    if (answer === "a") return [...chosen, ...files.slice(index)];
    if (answer === "y") chosen.push(file);
  }
  return chosen;
}

async function askAbout(question: string): Promise<"y" | "n" | "a" | "q"> {
  for (;;) {
    const answer = (await askLine(question))?.trim().toLowerCase() ?? "q";
    if (answer === "y" || answer === "n" || answer === "a" || answer === "q") return answer;
    write(2, "y  save it\nn  leave it\na  save it, and all that follow\nq  leave it, and all that follow\n");
  }
}
