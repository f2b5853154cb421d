import { existsInside, matcherOf } from "../../session/environment.ts";
import { findHostUser } from "../../session/accounts.ts";
import { whyNotEntered, whyNotStarted } from "../../session/command.ts";
import { personalityNumber } from "../../session/personality.ts";
import type { Path, Program, Surroundings } from "../../session/run.ts";
import { findUser, type User } from "../../session/user.ts";
import { UserError } from "../../error.ts";
import { superuserPath, userPath } from "../../places.ts";
import type { Caller, CommandEnd } from "./caller.ts";
import { type Keys, listOf } from "./keys.ts";
import { refusal, tell } from "./messages.ts";
import type { Request } from "./request.ts";
import type { Subject } from "./subjects.ts";

type Root = Surroundings["root"];

/** Where a command is run, and as what it is known there. */
export interface Place {
  readonly root: Root;
  readonly subject: Subject;
  readonly network: "host" | "none";
  readonly hostname?: string | undefined;
  /** Called once the command has its root. */
  readonly onStarted?: () => void;
}

/** Runs what is asked for in a root. @returns exit status: the command's own, or 1 */
export async function runIn(place: Place, request: Request, caller: Caller): Promise<number> {
  const { keys } = place.subject;
  const user = userOf(request.user ?? caller.name, place.root, caller);
  const preserve = request.preserveEnvironment || keys["preserve-environment"] === "true";
  const candidates = directoriesOf(request, caller, user, preserve);
  const directory = chooseDirectory(place.root, user, { candidates, caller });
  const program = makeProgram(place, { request, caller, user, preserve });
  const where = {
    root: place.root,
    credentials: user,
    directories: [directory],
    network: place.network,
    hostname: place.hostname,
    personality: personalityNumber(keys["personality"] ?? "undefined"),
  };
  const end = await explain({ file: program.file, directory }, () => caller.run(where, program, place.onStarted));
  return statusOf(end, caller);
}

function makeProgram(place: Place, chosen: Chosen): Program {
  const { request, caller, user, preserve } = chosen;
  const { keys } = place.subject;
  const prefix = listOf(keys, "command-prefix");
  const isShell = request.command.length === 0;
  const shell = chooseShell(place, chosen);
  const argv0 = preserve || prefix.length > 0 ? shell : `-${shell.slice(shell.lastIndexOf("/") + 1)}`;
  const command = isShell ? [argv0] : request.command;
  const words = command.join(" ");
  if (isVerbose(request, keys)) announce(place, { caller, user, words, isShell, shell, argv0 });
  const [file = shell] = [...prefix, ...(isShell ? [shell] : command)];
  const env = makeEnvironment(place.subject, { ...chosen, shell, words });
  return { file, argv: [...prefix, ...command], env };
}

/** The host's user, as whom schroot looks everybody up; or else one that only the root knows. */
function userOf(name: string, root: Root, caller: Caller): User {
  if (name === caller.name && caller.uid !== 0) return ownUser(caller);
  const isName = !/^\d+$|:/.test(name);
  const user = isName ? (findHostUser(name) ?? insideUser(name, root)) : undefined;
  if (user === undefined) throw refusal(`User ‘${name}’ not found`);
  return user;
}

function ownUser({ name, uid, gid, groups, home, shell }: Caller): User {
  return { name, uid, gid, groups: [...new Set([gid, ...groups])], home, shell };
}

function insideUser(name: string, root: Root): User | undefined {
  try {
    return findUser(root, name);
  } catch (error) {
    if (error instanceof UserError && error.code === "not-found") return undefined;
    throw error;
  }
}

interface Chosen {
  readonly request: Request;
  readonly caller: Caller;
  readonly user: User;
  readonly preserve: boolean;
}

/** The shell that was asked for is taken as it is, others only where they are there; tells of those that aren't. */
function chooseShell({ root, subject }: Place, { request, caller, user, preserve }: Chosen): string {
  const configured = subject.keys["shell"] ?? "";
  const asked = request.shell ?? (configured === "" ? undefined : configured);
  const own = preserve ? [caller.environment["SHELL"]?.toString() ?? user.shell] : [];
  const others = ["/bin/bash", "/bin/sh"].filter((shell) => shell !== user.shell);
  const candidates = asked === undefined ? [...own, user.shell, ...others] : [asked];
  // A command is told of the user's own, and needs none.
  if (request.command.length > 0) return user.shell;
  for (const [index, shell] of candidates.entries()) {
    const isThere = existsInside(root, shell);
    if (!isThere) {
      tell(caller, "W", `Shell ‘${shell}’ not available: ${shell}: Failed to stat file: No such file or directory`);
    }
    if (!isThere && index < candidates.length - 1) continue;
    if (index > 0) tell(caller, "W", `Falling back to shell ‘${shell}’`);
    return shell;
  }
  return "/bin/sh";
}

function makeEnvironment(
  { name, keys, namespace, isPlain, selectedName }: Subject,
  { request, caller, user, preserve, shell, words }: Chosen & { shell: string; words: string },
): Record<string, Path> {
  const { environment } = caller;
  const minimal: Record<string, Path> = {
    PATH: user.uid === 0 ? superuserPath : userPath,
    SHELL: shell,
    HOME: user.home,
    LOGNAME: user.name,
    USER: user.name,
  };
  if (environment["TERM"] !== undefined) minimal["TERM"] = environment["TERM"];
  const env: Record<string, Path> = preserve ? { ...minimal, ...environment } : minimal;
  if (user.uid === 0) env["PATH"] = superuserPath;
  if (request.command.length === 0) env["SHELL"] = shell;
  const filter = keys["environment-filter"] ?? "";
  if (filter !== "") {
    const isFiltered = matcherOf(filter);
    for (const key of Object.keys(env)) if (isFiltered(key)) delete env[key];
  }
  const isSession = namespace === "session" && !isPlain;
  return sorted({
    ...env,
    SCHROOT_COMMAND: words,
    SCHROOT_USER: caller.name,
    SCHROOT_GROUP: caller.groupName,
    SCHROOT_UID: String(caller.uid),
    SCHROOT_GID: String(caller.gid),
    SCHROOT_CHROOT_NAME: isSession ? (keys["original-name"] ?? name) : name,
    SCHROOT_ALIAS_NAME: isSession ? (keys["selected-name"] ?? selectedName) : name,
    SCHROOT_SESSION_ID: name,
  });
}

/** In the alphabet's order, as schroot hands it over. */
function sorted(env: Record<string, Path>): Record<string, Path> {
  return Object.fromEntries(Object.entries(env).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function isVerbose(request: Request, keys: Keys): boolean {
  return request.isVerbose || (!request.isQuiet && keys["message-verbosity"] === "verbose");
}

function announce(
  { subject }: Place,
  what: { caller: Caller; user: User; words: string; isShell: boolean; shell: string; argv0: string },
): void {
  const { caller, user, words, isShell, shell, argv0 } = what;
  const change = user.name === caller.name ? "" : ` (${caller.name}→${user.name})`;
  const kind = argv0.startsWith("-") ? "login shell" : "shell";
  const doing = isShell ? `Running ${kind}: ‘${shell}’` : `Running command: “${words}”`;
  tell(caller, "I", `[${subject.name} chroot]${change} ${doing}`);
}

/** Where to try: a command is only ever run where the caller is or asked for. */
function directoriesOf(request: Request, caller: Caller, user: User, preserve: boolean): readonly Path[] {
  if (request.directory !== undefined) return [caller.verbatim(request.directory)];
  const here = caller.directory ?? "";
  if (request.command.length > 0) return [here];
  const home = preserve ? caller.environment["HOME"] : undefined;
  const all = [here, ...(home === undefined ? [] : [home]), user.home, "/"];
  return all.filter((directory, index) => all.findIndex((each) => each.toString() === directory.toString()) === index);
}

const noDirectory =
  "The directory does not exist inside the chroot.  Use the --directory option to run the command in a different directory.";

/** The first that the user can enter; tells of the others. */
function chooseDirectory(
  root: Root,
  user: User,
  { candidates, caller }: { candidates: readonly Path[]; caller: Caller },
): Path {
  for (const [index, directory] of candidates.entries()) {
    const problem = whyNotEntered(root, directory, user);
    const name = directory.toString();
    if (problem === undefined) {
      if (index > 0) tell(caller, "W", `Falling back to directory ‘${name}’`);
      return directory;
    }
    if (index === candidates.length - 1) throw notEntered(name, problem);
    tell(caller, "W", `Failed to change to directory ‘${name}’: ${problem}`);
    tell(caller, "I", noDirectory);
  }
  throw new Error("no directory to run in");
}

function notEntered(directory: string, problem: string): UserError {
  return refusal(`Failed to change to directory ‘${directory}’: ${problem}`, noDirectory);
}

/** Says in schroot's words why a command couldn't be started. */
async function explain<T>(what: { file: Path; directory: Path }, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const failure = whyNotStarted(error);
    if (failure === undefined) throw error;
    if (failure.what === "directory") throw notEntered(what.directory.toString(), failure.reason);
    throw refusal(`Failed to execute “${what.file.toString()}”: ${failure.reason}`);
  }
}

async function statusOf(end: CommandEnd, caller: Caller): Promise<number> {
  if ("status" in end) return end.status;
  const { signalText } = await import("./signals.ts");
  tell(caller, "E", `Child terminated by signal ‘${signalText(end.signal)}’`);
  return 1;
}
