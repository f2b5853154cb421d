import { UserError } from "../../error.ts";
import { unless } from "../../kernel/error.ts";
import { Fd } from "../../kernel/fd.ts";
import { verbatimArguments } from "../../kernel/own.ts";
import { settle } from "../../kernel/process.ts";
import { beforeExit } from "../../kernel/self.ts";
import { isMachinesUserSpace } from "../../kernel/userspace.ts";
import { nobodysSpace } from "../../places.ts";
import { leaveSpace } from "./space.ts";

/**
 * Takes up what enterSpace() has handed over. @param words of the command line, behind the word that says so
 * @returns those that are the user's
 * @throws {UserError} usage, outside of a user's name spaces
 */
export function arriveInside(words: readonly string[]): readonly string[] {
  // The superuser of the machine must have no user's files for its own, whoever has it call us so.
  if (isMachinesUserSpace()) throw new UserError("usage", "this is for Fallthru itself, inside a user's name spaces");
  const [number = "", , ...rest] = words;
  const [directory = "/"] = verbatimArguments(words).slice(1);
  settle(directory);
  // The runtime has its own idea of where it is; where the name isn't text, it can't be told.
  if (typeof directory === "string") unless(["ENOENT", "ENOTDIR", "EACCES"], () => process.chdir(directory));
  if (number !== nobodysSpace) {
    const users = new Fd(Number(number), "the user's name spaces");
    beforeExit(() => leaveSpace(users));
  }
  return rest;
}
