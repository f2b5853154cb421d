import { randomHex } from "../../session/id.ts";
import { Guests } from "../../session/guests.ts";
import type { Surroundings } from "../../session/run.ts";
import type { Caller } from "../schroot/caller.ts";
import { hostPlace } from "./view.ts";

/** What of one login's own is shown in its session, and the variables that lead there. */
export interface Shown extends Disposable {
  readonly changes: Readonly<Record<string, string>>;
}

/**
 * Shows the ssh agent's socket, the X server's key and a message bus outside of /run/user. They are each login's own, and
 * what a session has in their places may be another file system: so they get places and variables of their own.
 */
export function showOwn(root: Surroundings["root"], caller: Caller): Shown {
  const guests = new Guests();
  const changes: Record<string, string> = {};
  const place = `${hostPlace}/login-${randomHex()}`;
  const show = (name: string, path: string, wrap: (path: string) => string): void => {
    const isShared = path.startsWith(`/run/user/${caller.uid}/`);
    if (isShared || !path.startsWith("/")) return;
    const at = `${place}/${name.toLowerCase()}`;
    if (guests.show(root, { from: path, at }, caller.uid)) changes[name] = wrap(at);
  };
  const variable = (name: string): string => caller.environment[name]?.toString() ?? "";
  show("SSH_AUTH_SOCK", variable("SSH_AUTH_SOCK"), (at) => at);
  if (variable("DISPLAY") !== "") {
    const key = variable("XAUTHORITY");
    show("XAUTHORITY", key === "" ? `${caller.home}/.Xauthority` : key, (at) => at);
  }
  const [, bus = "", rest = ""] = /^unix:path=([^,;]+)(.*)$/.exec(variable("DBUS_SESSION_BUS_ADDRESS")) ?? [];
  show("DBUS_SESSION_BUS_ADDRESS", bus, (at) => `unix:path=${at}${rest}`);
  return { changes, [Symbol.dispose]: () => guests[Symbol.dispose]() };
}
