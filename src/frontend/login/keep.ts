import { readSummary } from "../../session/record.ts";
import type { SharedSession } from "../../session/shared.ts";
import type { Caller } from "../schroot/caller.ts";
import type { Login } from "./find.ts";
import type { Wanted } from "./shell.ts";

/** The exit statuses of the question, beside 0: the person has said what is to become of their files. */
export const goOn = 10;
export const noAnswer = 11;

/** One login, and what it is for. */
interface Visit {
  readonly login: Login;
  readonly wanted: Wanted;
  readonly caller: Caller;
}

/** Whether the person is to say at the last logout what of their home is to be saved: on a terminal or a screen, not of a command. */
export function isAsked({ login, wanted, caller }: Visit): boolean {
  return login.policy.keep === "ask" && (isOnTerminal(wanted, caller) || isDesktop(wanted, caller));
}

function isOnTerminal({ kind, words }: Wanted, { converse }: Caller): boolean {
  return kind !== "command" && converse !== undefined && !words.some((word) => word.toString() === "-c");
}

/** Whether a login is a desktop's: a program on a screen, and no terminal to ask on. */
export function isDesktop({ kind }: Wanted, { converse, environment }: Caller): boolean {
  const isOnScreen = environment["DISPLAY"] !== undefined || environment["WAYLAND_DISPLAY"] !== undefined;
  return kind === "command" && converse === undefined && isOnScreen;
}

/** Until they have said so, their files are saved by whoever ends the session. */
export function expectAnswer(session: SharedSession, visit: Visit): void {
  const { login, caller } = visit;
  const { home: kind } = login.policy;
  if (!isAsked(visit) || kind === "real") return;
  const { uid, gid, groups, home: path } = caller;
  session.expectAnswer({ home: { path, kind }, person: { uid, gid, groups } });
}

/** Whether now is the time to ask: nobody else is there, and the session may still go on. */
export function isTimeToAsk(session: SharedSession, nowMs = Date.now()): boolean {
  return session.isLastThere() && nowMs < endOf(session);
}

/** When its time (login.ttl) is over. */
function endOf({ id }: SharedSession): number {
  return readSummary(id)?.expiresMs ?? Infinity;
}

/**
 * At the last logout from a shell on a terminal, where the chroot's description says so: asks the person what of their home is
 * to be saved. However that ends, also by a closed window, the session ends after it.
 * @returns whether they want another shell instead
 */
export async function isToGoOn(session: SharedSession, visit: Visit): Promise<boolean> {
  const { login, wanted, caller } = visit;
  if (!isAsked(visit) || !isOnTerminal(wanted, caller) || !isTimeToAsk(session)) return false;
  const { uid, gid, groups } = caller;
  const ids = [uid, gid, ...groups].join(",");
  const words = ["login-keep", "--ids", ids, "--home", login.policy.home, session.id, caller.home];
  const status = await caller.converse?.(words, endOf(session));
  if (status === 0) session.noteAnswer();
  return status === goOn;
}
