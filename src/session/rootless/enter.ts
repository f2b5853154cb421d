import { UserError } from "../../error.ts";
import { KernelError } from "../../kernel/error.ts";
import { ownDirectory, ownEnvironment, verbatimArguments } from "../../kernel/own.ts";
import { replaceBy } from "../../kernel/process.ts";
import { homeDirectory, insideWord } from "../../places.ts";
import { findSpace, readKeeper, shareSpace, type Space } from "./space.ts";

/**
 * Goes on in the user's name spaces: this process becomes nsenter(1) and then this program again, as whom the kernel takes for
 * the superuser there. A process of several threads, as JavaScript's is, can't enter a user name space by itself.
 * @param words of the command line, the last of this process's own
 * @param need "start" makes the name spaces where there are none; "look" returns then
 * @throws {UserError} unsupported: what this machine lacks or forbids
 */
export async function enterSpace(words: readonly string[], need: "start" | "look"): Promise<void> {
  const users = shareSpace(need === "start" ? "make" : "leave");
  if (users === undefined) return;
  const space = findSpace() ?? (await startWhereNeeded(need));
  if (space === undefined) {
    users.close();
    return;
  }
  const { user, mount } = space;
  const own = [process.execPath, insideWord, String(users.number), ownDirectory() ?? "/"];
  const argv = [
    "nsenter",
    `--user=${user.procPath}`,
    `--mount=${mount.procPath}`,
    "--",
    ...own,
    ...verbatimArguments(words),
  ];
  // The user database has another home for the superuser whom it is asked for inside.
  const env = { ...ownEnvironment(), HOME: ownEnvironment()["HOME"] ?? homeDirectory() };
  try {
    replaceBy({ file: "nsenter", argv, env }, [users, user, mount]);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new UserError("unsupported", `a session without root needs nsenter: ${error.message}`, {
      hint: "as root: apt install util-linux",
      cause: error,
    });
  }
}

/** Nothing is loaded for who only looks where there is nothing. */
async function startWhereNeeded(need: "start" | "look"): Promise<Space | undefined> {
  if (need === "look" && readKeeper() === undefined) return undefined;
  const { startSpace } = await import("./start.ts");
  return startSpace(need);
}
