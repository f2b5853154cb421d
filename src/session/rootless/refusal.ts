import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { UserError } from "../../error.ts";
import { isErrno, unless } from "../../kernel/error.ts";

/** What keeps this machine's users from having name spaces of their own, and the way out. */
export interface Obstacle {
  readonly message: string;
  readonly hint: string;
}

const setting = (name: string) => {
  const path = `/proc/sys/${name.replaceAll(".", "/")}`;
  return unless(["ENOENT", "EACCES"], () => readFileSync(path, "latin1"))?.trim();
};

/** Settings that say so; what else may, is seen when it is tried. */
export function findObstacle(): Obstacle | undefined {
  const closed = (name: string, value: string): Obstacle => ({
    message: `this machine lets nobody but root make user name spaces: ${name} is ${setting(name)}`,
    hint: `as root: sysctl -w ${name}=${value}`,
  });
  if (setting("user.max_user_namespaces") === "0") return closed("user.max_user_namespaces", "15000");
  if (setting("user.max_mnt_namespaces") === "0") return closed("user.max_mnt_namespaces", "15000");
  if (setting("kernel.unprivileged_userns_clone") === "0") return closed("kernel.unprivileged_userns_clone", "1");
  return undefined;
}

/** Ubuntu's: a user name space can be made, and nothing may be done in it without a profile that says `userns`. */
export function findAppArmor(): Obstacle | undefined {
  const name = "kernel.apparmor_restrict_unprivileged_userns";
  if (setting(name) !== "1") return undefined;
  return {
    message: `AppArmor may keep user name spaces from being used: ${name} is 1`,
    hint: `as root: an AppArmor profile for /usr/bin/unshare that has "userns," (see docs/rootless.md), or sysctl -w ${name}=0`,
  };
}

/** Why unshare(1) was refused, from what it said and from this machine's settings. */
export function explainRefusal(said: string): UserError {
  const known = findObstacle() ?? findAppArmor();
  const reason = said.trim().split("\n").at(-1) ?? "";
  const cause = new Error(reason === "" ? "unshare(1) ended without a word" : reason);
  if (known !== undefined) return new UserError("unsupported", known.message, { hint: known.hint, cause });
  return new UserError("unsupported", `a user name space can't be made: ${cause.message}`, {
    hint: "in a container its own rules may forbid it; fallthru doctor says what was found",
    cause,
  });
}

/** What the name spaces are made with, and the Debian packages that have it. */
export const programs = {
  unshare: "util-linux",
  nsenter: "util-linux",
  newuidmap: "uidmap",
  newgidmap: "uidmap",
} as const;

/** @throws {UserError} unsupported: it isn't installed */
export function findProgram(name: keyof typeof programs): string {
  const path = locateProgram(name);
  if (path !== undefined) return path;
  throw new UserError("unsupported", `a session without root needs ${name}, which isn't installed`, {
    hint: `as root: apt install ${programs[name]}`,
  });
}

export function locateProgram(name: string): string | undefined {
  const folders = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", ...(process.env["PATH"] ?? "").split(":")];
  return folders
    .filter((folder) => folder.startsWith("/"))
    .map((folder) => `${folder}/${name}`)
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  if (!existsSync(path)) return false;
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch (error) {
    if (isErrno(error, "EACCES", "ENOENT")) return false;
    throw error;
  }
}
