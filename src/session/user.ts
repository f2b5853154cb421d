import { UserError } from "../error.ts";
import type { Fd } from "../kernel/fd.ts";
import type { Credentials } from "../kernel/process.ts";
import { readInside } from "../layer/inside.ts";

/** A user of a root, from its own passwd(5) and group(5). */
export interface User extends Credentials {
  readonly name: string;
  readonly home: string;
  readonly shell: string;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/**
 * Finds `wanted` (NAME or UID, with :GROUP or :GID behind it) in the root's own databases. A number needs no entry
 * there: it then has no supplementary groups and lives in `/`.
 */
export function findUser(root: Fd, wanted: string): User {
  const [userPart = "", groupPart] = wanted.split(":", 2);
  const passwd = parsePasswd(readInside(root, "/etc/passwd")?.toString("utf8") ?? "");
  const groups = parseGroup(readInside(root, "/etc/group")?.toString("utf8") ?? "");
  const entry = findEntry(passwd, userPart);
  const gid = groupPart === undefined || groupPart === "" ? entry.gid : findGroup(groups, groupPart);
  const supplementary = groups.filter((group) => group.members.includes(entry.name)).map((group) => group.gid);
  return { ...entry, gid, groups: [...new Set(groupPart === undefined ? [gid, ...supplementary] : [gid])] };
}

function findEntry(passwd: readonly PasswdEntry[], wanted: string): PasswdEntry {
  const isNumber = /^\d+$/.test(wanted);
  const found = passwd.find((entry) => entry.name === wanted) ?? passwd.find((entry) => isNumber && entry.uid === Number(wanted));
  if (found !== undefined) return found;
  if (wanted === "root") return { name: "root", uid: 0, gid: 0, home: "/root", shell: "" };
  if (isNumber && Number(wanted) < 0xffffffff) {
    return { name: wanted, uid: Number(wanted), gid: Number(wanted), home: "/", shell: "" };
  }
  throw new UserError("not-found", `no user ${JSON.stringify(wanted)} in the session's /etc/passwd`, {
    hint: "give a number, or a user of that root: --user UID[:GID]",
  });
}

function findGroup(groups: readonly GroupEntry[], wanted: string): number {
  const found = groups.find((group) => group.name === wanted);
  if (found !== undefined) return found.gid;
  if (/^\d+$/.test(wanted) && Number(wanted) < 0xffffffff) return Number(wanted);
  throw new UserError("not-found", `no group ${JSON.stringify(wanted)} in the session's /etc/group`, {
    hint: "give a number, or a group of that root: --user USER:GID",
  });
}

/** The well-formed lines of passwd(5). */
export function parsePasswd(text: string): PasswdEntry[] {
  return fields(text, 7).map(([name = "", , uid, gid, , home = "", shell = ""]) => {
    return { name, uid: Number(uid), gid: Number(gid), home: home === "" ? "/" : home, shell };
  });
}

/** The well-formed lines of group(5). */
export function parseGroup(text: string): GroupEntry[] {
  return fields(text, 4).map(([name = "", , gid, members = ""]) => {
    return { name, gid: Number(gid), members: members.split(",").filter((member) => member !== "") };
  });
}

function fields(text: string, count: number): string[][] {
  const lines = text.split("\n").map((line) => line.split(":"));
  return lines.filter((parts) => parts.length === count && parts[0] !== "" && /^\d+$/.test(parts[2] ?? ""));
}
