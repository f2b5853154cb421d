import { UserError } from "../error.ts";
import { CLONE } from "../kernel/abi/process.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { lock, openDirectory } from "../kernel/file.ts";
import type { Path } from "../kernel/libc.ts";
import { verbatimArguments } from "../kernel/own.ts";
import { become, callerFileLimit, type Program, spawn, type Surroundings } from "../kernel/process.ts";
import { callerDirectory, chooseShell, filterEnvironment, makeEnvironment } from "./environment.ts";
import { checkSessionId } from "./id.ts";
import { initProgram } from "./init.ts";
import { explainNotRun } from "./notrun.ts";
import { mountPointOf, sessionDir } from "./paths.ts";
import { personalityNumber } from "./personality.ts";
import { readRecord, type SessionRecord } from "./record.ts";
import { isSessionMounted, prepareState } from "./state.ts";
import type { CommandOptions } from "./types.ts";
import { findUser, type User } from "./user.ts";
import { waitAsShell } from "./waiting.ts";

/**
 * Runs a command in a session. Normally it never returns: this process becomes the command. With a pid name space
 * somebody has to be its first process, so then it waits and returns the exit status.
 * @throws {UserError} not-found; CommandNotRun
 */
export async function runInSession(id: string, options: CommandOptions): Promise<number> {
  checkSessionId(id);
  prepareState();
  const opened = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
  if (opened === undefined) throw noSession(id);
  const pid = await startInSession(id, opened, options);
  return waitAsShell(pid);
}

/** Becomes the command or, with a pid name space, starts it; `dir` is closed then. */
async function startInSession(id: string, opened: Fd, options: CommandOptions): Promise<number> {
  using dir = opened;
  // Held until the command is executed: `end` waits for it, and then kills what came in.
  lock(dir, "shared");
  const record = readRecord(id);
  if (record === undefined) throw noSession(id);
  if (!isSessionMounted(id)) {
    throw new UserError("failed", `session ${id} isn't mounted: the machine was restarted since`, {
      hint: "mount it again: fallthru recover",
    });
  }
  if (options.pidNamespace === true) return await startChild(record, options);
  await joinGroups(record);
  return runHere(record, options, become);
}

/** Starts the command as a child in the session's control groups; this process leaves them again, whatever happens. */
export async function startChild(record: Record, options: CommandOptions): Promise<number> {
  const goBack = await joinGroups(record);
  try {
    return runHere(record, options, spawn);
  } finally {
    goBack();
  }
}

function noSession(id: string): UserError {
  return new UserError("not-found", `no session ${id}`, {
    hint: "what there is: fallthru list; a new one: fallthru begin",
  });
}

export type Record = Omit<SessionRecord, "version">;

/** Moves this process into the session's control groups; returns how to move it back. */
async function joinGroups(record: Record): Promise<() => void> {
  if (Object.keys(record.limits).length === 0) return () => {};
  const { joinControlGroups } = await import("./cgroup.ts");
  return joinControlGroups(record.id, record.limits);
}

/** Starts the command by `start`: as this process, or as a child of it. */
function runHere<T>(record: Record, options: CommandOptions, start: (where: Surroundings, program: Program) => T): T {
  using root = openDirectory(mountPointOf(record.id));
  const user = findUser(root, options.user ?? "root");
  const program = makeProgram(root, record, user, options);
  const where: Surroundings = {
    root,
    credentials: user,
    directories: options.directory === undefined ? fallbackDirectories(user) : [options.directory],
    network: record.network,
    hostname: record.hostname,
    personality: personalityNumber(record.command.personality),
  };
  return explainNotRun(() => {
    if (options.pidNamespace !== true) return start(where, program);
    using hostRoot = openDirectory("/");
    return start(
      {
        ...where,
        root: hostRoot,
        credentials: { uid: 0, gid: 0, groups: [] },
        directories: ["/"],
        newSpaces: CLONE.NEWPID,
      },
      initProgram({
        mountPoint: mountPointOf(record.id),
        credentials: user,
        directories: where.directories,
        program,
        fileLimit: callerFileLimit(),
      }),
    );
  });
}

function fallbackDirectories(user: User): Path[] {
  const caller = callerDirectory();
  return [...(caller === undefined ? [] : [caller]), user.home, "/"];
}

function makeProgram(root: Fd, record: Record, user: User, options: CommandOptions): Program {
  const { command } = record;
  const shell = command.shell ?? chooseShell(root, user);
  const preserve = options.preserveEnvironment ?? command.preserveEnvironment;
  const made = makeEnvironment(record.id, user, shell, { preserve, given: options.env ?? {} });
  const env = filterEnvironment(made, command.environmentFilter);
  const wanted = [...command.prefix, ...verbatimArguments(options.command)];
  const [file] = wanted;
  if (file !== undefined && options.command.length > 0) return { file, argv: wanted, env };
  if (command.prefix.length > 0 && file !== undefined) return { file, argv: [...wanted, shell], env };
  // A shell without a command is a login's, which it knows by the dash.
  return { file: shell, argv: [preserve ? shell : `-${shell.slice(shell.lastIndexOf("/") + 1)}`], env };
}
