import { Guests, showSockets } from "../../session/guests.ts";
import { randomHex } from "../../session/id.ts";
import type { Surroundings } from "../../session/run.ts";
import type { Caller } from "../schroot/caller.ts";
import { hostPlace, runtimeOf } from "./view.ts";

/** What of one login's own is shown in its session, and the variables that lead there. */
export interface Shown extends Disposable {
  readonly changes: Readonly<Record<string, string>>;
  /** The variables that lead nowhere inside. */
  readonly gone: readonly string[];
}

/**
 * Shows the ssh agent's socket, the X server's key and a message bus. They are each login's own, and what a session has in their
 * places may be another file system: so they get places and variables of their own. Screen and sound are shown where they are.
 */
export function showOwn(id: string, root: Surroundings["root"], caller: Caller): Shown {
  const guests = new Guests();
  const changes: Record<string, string> = {};
  const place = `${hostPlace}/login-${randomHex()}`;
  const show = (name: string, path: string, wrap: (path: string) => string): void => {
    if (!path.startsWith("/")) return;
    const at = `${place}/${name.toLowerCase()}`;
    if (guests.show(root, { from: path, at }, caller.uid)) changes[name] = wrap(at);
  };
  const variable = (name: string): string => caller.environment[name]?.toString() ?? "";
  show("SSH_AUTH_SOCK", variable("SSH_AUTH_SOCK"), (at) => at);
  if (variable("DISPLAY") !== "") {
    const key = variable("XAUTHORITY");
    show("XAUTHORITY", key === "" ? `${caller.home}/.Xauthority` : key, (at) => at);
  }
  const runtime = runtimeOf(caller);
  const [, bus = "", rest = ""] = /^unix:path=([^,;]+)(.*)$/.exec(variable("DBUS_SESSION_BUS_ADDRESS")) ?? [];
  const isOutside = bus === `${runtime}/bus`;
  if (!isOutside) show("DBUS_SESSION_BUS_ADDRESS", bus, (at) => `unix:path=${at}${rest}`);
  const own = { path: runtime, uid: caller.uid, gid: caller.gid };
  showSockets(id, root, own, socketsOf(variable("WAYLAND_DISPLAY")));
  return {
    changes,
    gone: isOutside ? ["DBUS_SESSION_BUS_ADDRESS"] : [],
    [Symbol.dispose]: () => guests[Symbol.dispose](),
  };
}

/**
 * Of what the person has in /run/user: sound, and the screen that they are at. Whoever answers at the others (a message bus, systemd,
 * agents that keep keys) would start programs outside, and write to the real home.
 */
function socketsOf(display: string): string[] {
  const sound = ["pipewire-0", "pipewire-0-manager", "pulse/native"];
  return /^[\w.-]+$/.test(display) ? [...sound, display] : sound;
}
