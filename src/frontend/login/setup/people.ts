import { UserError } from "../../../error.ts";
import { readText } from "./edits.ts";

/** Somebody of the machine's passwd(5). */
export interface Entry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly shell: string;
}

/** Of whom a login is made one of sessions. */
export interface Subject {
  readonly kind: "user" | "group";
  readonly name: string;
}

/** Who can administer the machine, besides root. */
const administrating = ["sudo", "admin", "wheel"];

export function readEntries(): Entry[] {
  return linesOf("/etc/passwd").flatMap((line) => {
    const [name = "", , uid, gid, , , shell = ""] = line.split(":");
    return line.split(":").length === 7 ? [{ name, uid: Number(uid), gid: Number(gid), shell }] : [];
  });
}

function linesOf(file: string): string[] {
  return Buffer.from(readText(file) ?? "", "latin1")
    .toString("utf8")
    .split("\n");
}

/** The people of this machine's own files that belong to a group; undefined where there is no such group. */
export function membersOf(group: string): Entry[] | undefined {
  const fields = linesOf("/etc/group")
    .map((line) => line.split(":"))
    .find(([name]) => name === group);
  if (fields === undefined) return undefined;
  const [, , gid, members = ""] = fields;
  const names = members.split(",");
  return readEntries().filter((entry) => entry.gid === Number(gid) || names.includes(entry.name));
}

/** @throws {UserError} not-found, for whom this machine's own files don't know */
export function peopleOf({ kind, name }: Subject): Entry[] {
  const found = kind === "group" ? membersOf(name) : readEntries().filter((entry) => entry.name === name);
  if (found !== undefined && (kind === "group" || found.length > 0)) return found;
  throw new UserError(
    "not-found",
    `no ${kind} ${name} in this machine's /etc/${kind === "group" ? "group" : "passwd"}`,
    {
      hint: "whom only a directory service knows gets a login by --via force-command",
    },
  );
}

/** The names of a person's groups, in this machine's own files. */
export function groupsOf(name: string): Set<string> {
  const gid = readEntries().find((entry) => entry.name === name)?.gid;
  const groups = linesOf("/etc/group").map((line) => line.split(":"));
  const own = groups.filter(([, , id, members = ""]) => id === String(gid) || members.split(",").includes(name));
  return new Set(own.map(([group = ""]) => group));
}

/**
 * Root must be able to log in on the machine's own root, and somebody who may become root.
 * @param isTaken whether somebody's login is a session already
 * @throws {UserError} busy
 */
export function refuseLockOut(subject: Subject, people: readonly Entry[], isTaken: (name: string) => boolean): void {
  const root = people.find(({ uid }) => uid === 0);
  if (root !== undefined) {
    const who = subject.kind === "user" ? "the superuser" : `${root.name}, the superuser, is in ${subject.name}: they`;
    throw new UserError("busy", `${who} must be able to administer this machine`, { hint: "choose other people" });
  }
  const administrators = [
    ...new Set(administrating.flatMap((group) => membersOf(group) ?? []).map(({ name }) => name)),
  ];
  const names = new Set(people.map(({ name }) => name));
  if (!administrators.some((name) => names.has(name))) return;
  if (administrators.some((name) => !names.has(name) && !isTaken(name))) return;
  throw new UserError("busy", `nobody of ${administrating.join(", ")} could administer this machine any more`, {
    hint: `put somebody else into the group first; now there is only ${administrators.join(", ")}`,
  });
}
