import { UserError } from "../../error.ts";
import { KernelError, whyNotStarted } from "../../session/command.ts";
import { rootWatchOf } from "../../session/rootchange.ts";
import { BoundedCommand } from "../../session/bounded.ts";
import { type Path, type Program, type Record, startInSession, type Surroundings } from "../../session/run.ts";
import type { SharedSession } from "../../session/shared.ts";
import type { Ahead, Caller, CommandEnd, News, ServedCaller } from "../schroot/caller.ts";
import { enterLogin, graceMs, groupsOf } from "./enter.ts";
import { findLogin, type Login } from "./find.ts";
import { expectAnswer, isAsked, isDesktop, isTimeToAsk, isToGoOn } from "./keep.ts";
import { loginEnvironment, makeShell, readWanted, shellInside, type Wanted } from "./shell.ts";
import { showOwn } from "./shown.ts";

/** How a login ended. */
export type Answer =
  | {
      readonly kind: "status";
      readonly status: number;
      /** What is left to do, for which nobody need wait. */
      readonly afterwards?: () => Promise<void>;
    }
  | { readonly kind: "host" }; // a plain shell is the caller's, on this machine's own root

/**
 * One login of one caller: begins their session or joins it, runs their shell in it, and ends it after the last of
 * them. Where anything fails they get no shell, unless their chroot's description says otherwise.
 */
export async function login(argv: readonly Path[], caller: ServedCaller): Promise<Answer> {
  let found: Login | undefined;
  let session: SharedSession | undefined;
  const afterwards = async (): Promise<void> => session?.leave(graceMs);
  try {
    const wanted = readWanted(argv);
    found = findLogin({ name: caller.name, groups: () => groupsOf(caller) });
    // While the session is begun.
    await using ahead = found.policy.sudo === "yes" ? await startBounded(caller) : undefined;
    session = await enterLogin(found, caller);
    const visit = { login: found, wanted, caller };
    if (found.policy.keep === "ask") prepareToAsk(session, visit);
    let end = await runShell(session.id, visit, ahead);
    while (await isToGoOn(session, visit)) end = await runShell(session.id, visit);
    await askDesktop(session, visit);
    return { kind: "status", status: "status" in end ? end.status : 128 + end.signal, afterwards };
  } catch (error) {
    const isHost = found?.policy.onFailure === "host";
    explain(error, caller, isHost);
    if (!isHost) return { kind: "status", status: 1, afterwards };
    await afterwards();
    return { kind: "host" };
  }
}

/** One login, and what it is for. */
interface Visit {
  readonly login: Login;
  readonly wanted: Wanted;
  readonly caller: ServedCaller;
}

function prepareToAsk(session: SharedSession, visit: Visit): void {
  session.bePresent();
  const reason = session.whyKept();
  const kept = `fallthru: this is your last session, kept for your files, which couldn't be saved to ~/unsaved: ${reason}`;
  expectAnswer(session, visit);
  if (reason !== undefined && isAsked(visit)) visit.caller.say(2, `${visible(kept)}\n`);
}

/** Where nobody can be asked, or that fails, their command ended as it did all the same. */
async function askDesktop(session: SharedSession, visit: Visit): Promise<void> {
  const { login, wanted, caller } = visit;
  if (!isAsked(visit) || !isDesktop(wanted, caller) || !isTimeToAsk(session)) return;
  const { id } = session;
  try {
    const { saveFromDesktop } = await import("./dialog.ts");
    const home = { id, path: caller.home, kind: login.policy.home };
    const answer = await saveFromDesktop(home, caller, (dialog) => runShell(id, { ...visit, wanted: dialog }));
    if (answer === "answered") session.noteAnswer();
  } catch (error) {
    caller.say(2, `fallthru: nothing was saved: ${visible(error instanceof Error ? error.message : String(error))}\n`);
  }
}

/** The session can't end before the shell has its root. */
async function runShell(id: string, visit: Visit, ahead?: Bounded): Promise<CommandEnd> {
  const { login: found, wanted, caller } = visit;
  const signal = await caller.interrupted?.();
  if (signal !== undefined) return { status: signal };
  const isBounded = found.policy.sudo === "yes";
  const start = async (root: Surroundings["root"], record: Record): Promise<{ ended: Promise<CommandEnd> }> => {
    const { network, hostname } = record;
    const shown = showOwn(id, root, caller);
    const shell = shellInside(root, caller);
    const env = loginEnvironment(found, caller, { id, shell, shown });
    const { uid, gid, groups, home } = caller;
    const where: Surroundings = {
      root,
      credentials: { uid, gid, groups },
      directories: [...(caller.directory === undefined ? [] : [caller.directory]), home, "/"],
      network,
      hostname,
    };
    const started = Promise.withResolvers<void>();
    const program = makeShell(root, wanted, shell, env);
    const news = newsOf(id, caller);
    const onStarted = started.resolve;
    const running = isBounded
      ? runBounded(ahead, record, visit, { where, program, onStarted, news })
      : caller.run(where, program, onStarted, news);
    const ended = running.finally(() => {
      shown[Symbol.dispose]();
    });
    await Promise.race([started.promise, ended]);
    return { ended };
  };
  const { ended } = await startInSession(id, start, isBounded ? "nothing" : "its control groups");
  return ended;
}

type Bounded = BoundedCommand<Ahead>;

function startBounded(caller: ServedCaller): Promise<Bounded> {
  return BoundedCommand.start((where, program) => caller.startAhead(where, program));
}

interface Run {
  readonly where: Surroundings;
  readonly program: Program;
  readonly onStarted: () => void;
  readonly news: News;
}

/** Who comes later to a session that stands on what isn't there any more is told at once, others when it happens. */
function newsOf(id: string, caller: Caller): News {
  if (caller.converse === undefined) return () => undefined;
  const look = rootWatchOf(id);
  const tell = () => {
    const change = look();
    return change && newsTexts[change];
  };
  const text = tell();
  if (text === undefined) return tell;
  caller.say(2, `${text}\n`);
  return () => undefined;
}

const newsTexts = {
  changed:
    "fallthru: packages below your session were changed meanwhile: whether it sees that is undefined; a new one does, after your last logout",
  replaced:
    "fallthru: what your session lies over was updated meanwhile: it keeps what it was; a new one has the update, after your last logout",
} as const;

/** In a pid and a mount name space of the login's own, where root can't reach the machine. They end with it. */
async function runBounded(
  ahead: Bounded | undefined,
  record: Record,
  { caller }: Visit,
  { where, program, onStarted, news }: Run,
): Promise<CommandEnd> {
  await using bounded = ahead ?? (await startBounded(caller));
  bounded.enter(record, caller.terminal);
  let isOrdered = false;
  const become: Parameters<Ahead["run"]>[0] = (standardError) => {
    bounded.become(where, program, { standardError, fileLimit: caller.fileLimit });
    isOrdered = true;
  };
  const end = await bounded.process.run(become, onStarted, news);
  if (isOrdered) bounded.checkStarted();
  return end;
}

function explain(error: unknown, caller: Caller, isHost: boolean): void {
  const message = error instanceof Error ? error.message : String(error);
  const notStarted = whyNotStarted(error);
  const text = notStarted === undefined ? message : `${message} (${notStarted.what})`;
  const hint = hintOf(error);
  const outcome = isHost ? "you are on this machine's own root" : "you can't log in here";
  const lines = [`fallthru: ${outcome}: ${text}`, ...(hint === undefined ? [] : [`hint: ${hint}`])];
  caller.say(2, lines.map((line) => `${visible(line)}\n`).join(""));
}

/** Of a session's begin, as an administrator of logins can follow it. */
function hintOf(error: unknown): string | undefined {
  if (error instanceof KernelError && error.errno === "EAGAIN")
    return "a limit of processes is reached: of yours, of your session (login.pids) or of the service";
  if (!(error instanceof UserError)) return undefined;
  return error.code === "no-space" ? error.hint?.replace("--upper DIR, --upper tmpfs", "login.upper") : error.hint;
}

/** Names come from hostile places, and a terminal obeys what it is shown. */
function visible(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}
