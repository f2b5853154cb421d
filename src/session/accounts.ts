import { unless } from "../kernel/error.ts";
import { openDirectory, readFile } from "../kernel/file.ts";
import { UserError } from "../error.ts";
import { findUser, type User } from "./user.ts";

/** The users and groups of this machine: from its files, and where those don't have them from getent(1). */

/** @param wanted a name, or a uid */
export function findHostUser(wanted: string | number): User | undefined {
  using root = openDirectory("/");
  try {
    const user = findUser(root, String(wanted));
    // For a number findUser() makes one up, and a name that is a number isn't looked for.
    if (typeof wanted === "number" ? user.name !== String(wanted) : user.name === wanted) return user;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
  }
  return askForUser(wanted);
}

/** A user whom a directory service knows. */
function askForUser(wanted: string | number): User | undefined {
  const fields = getent("passwd", String(wanted));
  if (fields === undefined) return undefined;
  const [name = "", , uid, gid, , home = "/", shell = ""] = fields;
  if (typeof wanted === "string" && name !== wanted) return undefined;
  const groups = getent("initgroups", name)?.join(" ").split(/\s+/).slice(1).map(Number) ?? [];
  return { name, uid: Number(uid), gid: Number(gid), groups: [...new Set([Number(gid), ...groups])], home, shell };
}

/** A group's name; its number where it has none. */
export function groupNameOf(gid: number): string {
  const text = unless(["ENOENT"], () => readFile("/etc/group"))?.toString("utf8") ?? "";
  const line = text.split("\n").find((each) => each.split(":")[2] === String(gid));
  return line?.split(":")[0] ?? getent("group", String(gid))?.[0] ?? String(gid);
}

function getent(database: string, key: string): string[] | undefined {
  // Loaded here: few machines need it.
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const { status, stdout } = spawnSync("getent", [database, "--", key], { encoding: "utf8" });
  return status === 0 ? (stdout.split("\n")[0] ?? "").split(":") : undefined;
}
