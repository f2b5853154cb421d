import { UserError } from "../../error.ts";
import { openDirectory } from "../../kernel/file.ts";
import { ownDirectory, ownEnvironment, verbatimArguments } from "../../kernel/own.ts";
import { spawn } from "../../kernel/spawn.ts";
import { insideWord, nobodysSpace } from "../../places.ts";
import type { CommandOptions } from "../types.ts";

/**
 * Starts a command in a session by this program, once more: a process that has taken name spaces of its own can't come back
 * from there to the machine's, as these aren't its user's.
 */
export function startAgain(id: string, options: CommandOptions): number {
  if (options.pidNamespace === true) {
    // Our process couldn't come back from there, and would have to make no thread until the command ends.
    throw new UserError("unsupported", "--pid-namespace needs root", {
      hint: "without root the session's own unshare(1) does it: fallthru run … -- unshare --pid --fork --mount-proc COMMAND",
    });
  }
  const given = [
    ...(options.user === undefined ? [] : ["--user", options.user]),
    ...(options.directory === undefined ? [] : ["--directory", options.directory]),
    ...Object.entries(options.env ?? {}).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
    ...(options.preserveEnvironment === true ? ["--preserve-environment"] : []),
  ];
  const directory = ownDirectory() ?? "/";
  const own = [process.execPath, insideWord, nobodysSpace, directory, "run", `@${id}`, ...given, "--"];
  using root = openDirectory("/");
  return spawn(
    { root, credentials: { uid: 0, gid: 0, groups: [] }, directories: [directory, "/"], network: "host" },
    { file: process.execPath, argv: [...own, ...verbatimArguments(options.command)], env: ownEnvironment() },
  );
}
