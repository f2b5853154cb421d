import { UserError } from "../error.ts";
import { unless } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { lock, openDirectory } from "../kernel/file.ts";
import type { Path } from "../kernel/libc.ts";
import { isInside } from "../places.ts";
import { verbatimArguments, verbatimValue } from "../kernel/own.ts";
import { become, type Program, type Surroundings } from "../kernel/process.ts";
import { spawn } from "../kernel/spawn.ts";
import { callerDirectory, chooseShell, makeEnvironment } from "./environment.ts";
import { checkSessionId } from "./id.ts";
import type { PidSpace } from "./init.ts";
import { explainNotRun } from "./notrun.ts";
import { mountPointOf, sessionDir } from "./paths.ts";
import { personalityNumber } from "./personality.ts";
import { readRecord, type SessionRecord } from "./record.ts";
import { isSessionMounted, requireSuperuser } from "./state.ts";
import type { CommandOptions } from "./types.ts";
import { findUser, type User } from "./user.ts";
import type { SignalRelay } from "./signals.ts";

/** What a front end describes a command with. */
export type { Path } from "../kernel/libc.ts";
export type { Program, Surroundings } from "../kernel/process.ts";

/** For whoever ran a command and has nothing more to do: its terminal stays as the command left it. */
export { exitNow } from "../kernel/self.ts";

/**
 * Runs a command in a session. Normally it never returns: this process becomes the command. With a pid name space
 * somebody has to look after its first process, so then it waits and returns the exit status.
 * @throws {UserError} not-found; CommandNotRun
 */
export async function runInSession(id: string, options: CommandOptions): Promise<number> {
  checkSessionId(id);
  requireSuperuser();
  if (options.pidNamespace !== true) return enterSession(id, (record) => becomeCommand(record, options));
  const { SignalRelay } = await import("./signals.ts");
  using signals = new SignalRelay();
  const child = await enterSession(id, (record) => startChild(record, options));
  return await waitForCommand(child, signals);
}

/** Keeps the session from being ended until `start` has the command in it; `end` then kills it. */
async function enterSession<T>(id: string, start: (record: Record) => Promise<T>): Promise<T> {
  const opened = unless(["ENOENT"], () => openDirectory(sessionDir(id)));
  if (opened === undefined) throw await missing(id);
  using dir = opened;
  lock(dir, "shared");
  const record = readRecord(id);
  if (record === undefined) throw await missing(id);
  if (record.freezing !== undefined) throw halfForked(id);
  if (!isSessionMounted(id)) {
    throw new UserError(
      "failed",
      `session ${id} isn't mounted: the machine was restarted, or the server of its union was killed`,
      {
        hint: "mount it again: fallthru recover",
      },
    );
  }
  return await start(record);
}

async function missing(id: string): Promise<UserError> {
  return (await import("./names.ts")).noSession(id);
}

async function becomeCommand(record: Record, options: CommandOptions): Promise<never> {
  await joinGroups(record, "stay");
  return runHere(record, options, become);
}

/**
 * For front ends: has `start` start a command in a session's root. The session can't be ended before `start` is done,
 * which is to be as soon as the command has its root: from then on `end` finds and kills it.
 * @param joins "nothing": the command sees to its control groups by itself
 */
export async function startInSession<T>(
  id: string,
  start: (root: Fd, record: Record) => Promise<T>,
  joins: "its control groups" | "nothing" = "its control groups",
): Promise<T> {
  checkSessionId(id);
  requireSuperuser();
  return enterSession(id, async (record) => {
    const goBack = joins === "nothing" ? () => {} : await joinGroups(record, "come back");
    try {
      using root = openDirectory(mountPointOf(record.id));
      return await start(root, record);
    } finally {
      goBack();
    }
  });
}

/** A command that somebody has to wait for. */
export interface Child {
  readonly pid: number;
  readonly space: PidSpace | undefined;
}

/** Starts the command as a child in the session's control groups; this process leaves them again, whatever happens. */
export async function startChild(record: Record, options: CommandOptions): Promise<Child> {
  if (isInside && (record.network === "none" || record.hostname !== undefined || options.pidNamespace === true)) {
    const { startAgain } = await import("./rootless/again.ts");
    return { pid: startAgain(record.id, options), space: undefined };
  }
  const space = options.pidNamespace === true ? await makePidSpace(record) : undefined;
  try {
    const goBack = await joinGroups(record, "come back");
    try {
      return { pid: runHere(record, options, spawn, space), space };
    } finally {
      goBack();
    }
  } catch (error) {
    await space?.end();
    throw error;
  }
}

async function makePidSpace(record: Record): Promise<PidSpace> {
  const { startPidSpace } = await import("./init.ts");
  return startPidSpace(mountPointOf(record.id));
}

/** @returns the command's exit status; 128 and the signal's number where one killed it */
export async function waitForCommand({ pid, space }: Child, signals: SignalRelay): Promise<number> {
  const { waitAsShell } = await import("./waiting.ts");
  signals.relayTo(pid);
  try {
    return await waitAsShell(pid);
  } finally {
    await space?.end();
  }
}

function halfForked(id: string): UserError {
  return new UserError("failed", `session ${id} is half forked: whoever forked it was killed`, {
    hint: "put it in order: fallthru recover",
  });
}

export type Record = Omit<SessionRecord, "version">;

/** Moves this process into the session's control groups; returns how to move it back. */
async function joinGroups(record: Record, then: "stay" | "come back"): Promise<() => void> {
  if (Object.keys(record.limits).length === 0) return () => {};
  const { joinControlGroups } = await import("./cgroup.ts");
  return joinControlGroups(record.id, record.limits, then);
}

/** Starts the command by `start`: as this process, or as a child of it. */
function runHere<T>(
  record: Record,
  options: CommandOptions,
  start: (where: Surroundings, program: Program) => T,
  space?: PidSpace,
): T {
  using root = openDirectory(mountPointOf(record.id));
  const user = findUser(root, options.user ?? "root");
  const program = makeProgram(root, record, user, options);
  const where: Surroundings = {
    root: space?.root ?? root,
    credentials: user,
    directories: options.directory === undefined ? fallbackDirectories(user) : [verbatimValue(options.directory)],
    network: record.network,
    hostname: record.hostname,
    personality: personalityNumber(record.command.personality),
    ...(space === undefined ? {} : { pidSpace: space.processes, mountSpace: space.mounts }),
  };
  return explainNotRun(() => start(where, program));
}

function fallbackDirectories(user: User): Path[] {
  const caller = callerDirectory();
  return [...(caller === undefined ? [] : [caller]), user.home, "/"];
}

function makeProgram(root: Fd, record: Record, user: User, options: CommandOptions): Program {
  const { command } = record;
  const shell = command.shell ?? chooseShell(root, user);
  const preserve = options.preserveEnvironment ?? command.preserveEnvironment;
  const filter = command.environmentFilter;
  const env = makeEnvironment(record.id, user, shell, { preserve, filter, given: options.env ?? {} });
  const wanted = [...command.prefix, ...verbatimArguments(options.command)];
  const [file] = wanted;
  if (file !== undefined && options.command.length > 0) return { file, argv: wanted, env };
  if (command.prefix.length > 0 && file !== undefined) return { file, argv: [...wanted, shell], env };
  // A shell without a command is a login's, which it knows by the dash.
  return { file: shell, argv: [preserve ? shell : `-${shell.slice(shell.lastIndexOf("/") + 1)}`], env };
}
