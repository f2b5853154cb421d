import { groupNameOf } from "../../session/accounts.ts";
import { enterShared, type SharedSession } from "../../session/shared.ts";
import { fillHome } from "../../session/skeleton.ts";
import type { Caller } from "../schroot/caller.ts";
import type { Login } from "./find.ts";
import { rememberedShell } from "./shells.ts";
import { loginSession } from "./view.ts";

/** What still runs in a session after its last logout has so long to end by itself. */
export const graceMs = 2000;

/** Whose login it is. */
export type Resident = Pick<Caller, "uid" | "gid" | "groups" | "name" | "groupName" | "home" | "shell" | "say">;

/** The names of all their groups. */
export function groupsOf({ gid, groups }: Pick<Resident, "gid" | "groups">): Set<string> {
  return new Set([gid, ...groups].map(groupNameOf));
}

/** Joins the session that a person's logins are, or begins it. */
export function enterLogin(found: Login, person: Resident): Promise<SharedSession> {
  const { chroot, policy } = found;
  const shells = [policy.shell, rememberedShell(person.name), person.shell].filter((shell) => shell !== undefined);
  return enterShared(chroot, loginSession(found, person, shells), ({ mountPoint, warnings }) => {
    if (policy.home === "tmpfs") fillHome(mountPoint, person);
    for (const warning of warnings) person.say(2, `fallthru: ${warning}\n`);
  });
}
