import type { SharedSession } from "../../session/shared.ts";
import type { Caller } from "../schroot/caller.ts";
import type { Login } from "./find.ts";
import type { Wanted } from "./shell.ts";

/** The exit status of the question by which somebody wants to go on in their session. */
export const goOn = 10;

/**
 * At the last logout from a shell on a terminal, where the chroot's description says so: asks the person what of their home is
 * to be saved. However that ends, also by a closed window, the session ends after it.
 * @returns whether they want another shell instead
 */
export async function isToGoOn(
  session: SharedSession,
  { login, wanted, caller }: { login: Login; wanted: Wanted; caller: Caller },
): Promise<boolean> {
  const isShell = wanted.kind !== "command" && !wanted.words.some((word) => word.toString() === "-c");
  if (login.policy.keep !== "ask" || !isShell || caller.converse === undefined || !session.isLastThere()) return false;
  const { uid, gid, groups } = caller;
  const ids = [uid, gid, ...groups].join(",");
  const words = ["login-keep", "--ids", ids, "--home", login.policy.home, session.id, caller.home];
  return (await caller.converse(words)) === goOn;
}

/** Whether a login is a desktop's: a program on a screen, and no terminal to ask on. */
export function isDesktop({ kind }: Wanted, { converse, environment }: Caller): boolean {
  const isOnScreen = environment["DISPLAY"] !== undefined || environment["WAYLAND_DISPLAY"] !== undefined;
  return kind === "command" && converse === undefined && isOnScreen;
}
