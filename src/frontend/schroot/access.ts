import { type Keys, listOf } from "./keys.ts";
import { refusal } from "./messages.ts";

/** The one who asks, as the rules see them. */
export interface Asker {
  readonly uid: number;
  readonly name: string;
  /** The names of all their groups. */
  readonly groups: ReadonlySet<string>;
}

/** What must happen before a caller may go on. */
export type Access = "granted" | "authenticate" | "denied";

/**
 * Who may do what with a chroot or session, from nothing but its own lists: its users may be themselves in it without
 * a password, its root-users also the superuser; whoever else its users want to be, they have to prove it. The
 * superuser may do everything.
 * @param wanted whom they want to be in it
 */
export function accessTo(keys: Keys, asker: Asker, wanted: string): Access {
  if (asker.uid === 0) return "granted";
  const isIn = (users: string, groups: string) =>
    listOf(keys, users).includes(asker.name) || listOf(keys, groups).some((group) => asker.groups.has(group));
  const mayBeRoot = isIn("root-users", "root-groups");
  const isUser = isIn("users", "groups");
  if ((mayBeRoot || isUser) && wanted === asker.name) return "granted";
  if (mayBeRoot && wanted === "root") return "granted";
  return isUser ? "authenticate" : "denied";
}

/** Whether a session of theirs lets them be the superuser too: it is narrowed to its creator. */
export function mayBeRoot(keys: Keys, asker: Asker): boolean {
  return (
    listOf(keys, "root-users").includes(asker.name) ||
    listOf(keys, "root-groups").some((group) => asker.groups.has(group))
  );
}

/** The strictest of what several chroots ask for. @throws {UserError} where one is denied */
export function strictest(all: readonly Access[]): "granted" | "authenticate" {
  if (all.includes("denied")) {
    throw refusal(
      "Access not authorised",
      "You do not have permission to access the schroot service.",
      "This failure will be reported.",
    );
  }
  return all.includes("authenticate") ? "authenticate" : "granted";
}
