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

type PasswdEntry = Omit<User, "groups">;

/** The greatest 32-bit number isn't an id: to the kernel it means to change nothing. */
function isId(text: string): boolean {
  return isDigits(text) && Number(text) < 0xffffffff;
}

/** One to ten of them. */
function isDigits(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x30 || code > 0x39) return false;
  }
  return text.length > 0 && text.length <= 10;
}

/**
 * Finds `wanted` (NAME or UID, with :GROUP or :GID behind it) in the root's own databases. A number needs no entry
 * there: it then has no supplementary groups and lives in `/`.
 */
export function findUser(root: Fd, wanted: string): User {
  const [userPart = "", groupPart = "", ...more] = wanted.split(":");
  if (more.length > 0)
    throw new UserError("usage", `${JSON.stringify(wanted)} names no user`, { hint: "--user USER[:GROUP]" });
  const entry = findEntry(readInside(root, "/etc/passwd")?.toString("utf8") ?? "", userPart);
  const groups = readInside(root, "/etc/group")?.toString("utf8") ?? "";
  if (groupPart !== "") {
    const gid = findGroup(groups, groupPart);
    return { ...entry, gid, groups: [gid] };
  }
  return { ...entry, groups: groupsOf(groups, entry.name, entry.gid) };
}

function findEntry(passwd: string, wanted: string): PasswdEntry {
  const id = isId(wanted) ? wanted : undefined;
  const found =
    findNamed(passwd, 7, wanted) ??
    (id === undefined ? undefined : findLine(passwd, 7, (fields) => Number(fields[2]) === Number(id)));
  if (found !== undefined) {
    const [name = "", , uid, gid, , home = "", shell = ""] = found;
    return { name, uid: Number(uid), gid: Number(gid), home: home === "" ? "/" : home, shell };
  }
  if (wanted === "root") return { name: "root", uid: 0, gid: 0, home: "/root", shell: "" };
  if (id !== undefined) return { name: id, uid: Number(id), gid: Number(id), home: "/", shell: "" };
  throw new UserError("not-found", `no user ${JSON.stringify(wanted)} in the session's /etc/passwd`, {
    hint: "give a number, or a user of that root: --user UID[:GID]",
  });
}

function findGroup(groups: string, wanted: string): number {
  const found = findNamed(groups, 4, wanted);
  if (found !== undefined) return Number(found[2]);
  if (isId(wanted)) return Number(wanted);
  throw new UserError("not-found", `no group ${JSON.stringify(wanted)} in the session's /etc/group`, {
    hint: "give a number, or a group of that root: --user USER:GID",
  });
}

/** A user's own group and the supplementary ones. Only lines that have the name in them are taken apart: most have no members. */
function groupsOf(groups: string, user: string, own: number): number[] {
  const found = [own];
  for (const line of groups.split("\n")) {
    if (!line.includes(user)) continue;
    const fields = line.split(":");
    const [, , gid, members = ""] = fields;
    if (!isEntry(fields, 4) || !members.split(",").includes(user)) continue;
    if (!found.includes(Number(gid))) found.push(Number(gid));
  }
  return found;
}

/** The first well-formed line of this name; other lines aren't taken apart. */
function findNamed(text: string, count: 4 | 7, name: string): string[] | undefined {
  for (const line of text.split("\n")) {
    if (!line.startsWith(`${name}:`)) continue;
    const fields = line.split(":");
    if (isEntry(fields, count) && fields[0] === name) return fields;
  }
  return undefined;
}

/** The first well-formed line that fits. */
function findLine(text: string, count: 4 | 7, fits: (fields: readonly string[]) => boolean): string[] | undefined {
  for (const line of text.split("\n")) {
    const fields = line.split(":");
    if (isEntry(fields, count) && fits(fields)) return fields;
  }
  return undefined;
}

/** The third field is the id in passwd(5) and in group(5), and the fourth that of the group in passwd(5). */
function isEntry(fields: readonly string[], count: 4 | 7): boolean {
  const [name, , id = "", gid = ""] = fields;
  return fields.length === count && name !== "" && isId(id) && (count === 4 || isId(gid));
}
