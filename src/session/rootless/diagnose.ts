import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { userName, type Kind, kinds, lackOf, readRanges } from "./subordinate.ts";
import { S } from "../../kernel/abi/file.ts";
import { unless } from "../../kernel/error.ts";
import { fileSystemOf, openDirectory } from "../../kernel/file.ts";
import { getXattrAt } from "../../kernel/xattr.ts";
import type { Finding } from "../doctor.ts";
import { chooseUpper } from "../layers.ts";
import { stateDir } from "../paths.ts";
import { findAppArmor, findObstacle, locateProgram, programs } from "./refusal.ts";

/** What a session without root stands on. Tries things out; leaves nothing behind. */
export function diagnoseUser(): Finding[] {
  return [
    { name: "user", state: "ok", detail: `running as ${userName()}: sessions are made without root` },
    userSpaces(),
    ...Object.entries(programs).map(([name, packageName]) => program(name, packageName)),
    subordinates("uid"),
    subordinates("gid"),
    state(),
  ];
}

/** Mounts an overlay in a user name space, with the user alone in it. */
function userSpaces(): Finding {
  const name = "user name spaces";
  const obstacle = findObstacle();
  if (obstacle !== undefined) return { name, state: "missing", detail: obstacle.message, hint: obstacle.hint };
  const unshare = locateProgram("unshare");
  if (unshare === undefined) return { name, state: "missing", detail: "can't be tried without unshare" };
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const base = mkdtempSync(`${stateDir}/.doctor-`);
  try {
    for (const directory of ["lower", "upper", "work", "merged"]) mkdirSync(`${base}/${directory}`);
    const script = `cd "$0" && mount -t overlay -o userxattr,lowerdir=lower,upperdir=upper,workdir=work overlay merged`;
    const words = ["--user", "--map-root-user", "--mount", "--", "sh", "-c", script, base];
    const { status, stderr } = spawnSync(unshare, words, { encoding: "utf8" });
    if (status === 0) return { name, state: "ok", detail: "can be made, and overlayfs mounted in them" };
    const known = findAppArmor();
    const said = stderr.trim().split("\n")[0] ?? "";
    const hint =
      known?.hint ?? "in a container its own rules may forbid it; else try: unshare --user --map-root-user true";
    return { name, state: "missing", detail: known?.message ?? said, hint };
  } finally {
    // overlayfs leaves a directory of mode 0 in there, empty.
    spawnSync("chmod", ["-R", "u+rwx", base], { stdio: "ignore" });
    rmSync(base, { recursive: true, force: true });
  }
}

function program(name: string, packageName: string): Finding {
  const path = locateProgram(name);
  if (path === undefined)
    return { name, state: "missing", detail: "not installed", hint: `as root: apt install ${packageName}` };
  if (packageName !== "uidmap" || isPrivileged(path)) return { name, state: "ok", detail: path };
  const detail = `${path} is neither set-user-ID root nor has it capabilities: it can map nobody's ids`;
  return { name, state: "missing", detail, hint: `as root: apt install --reinstall ${packageName}` };
}

function isPrivileged(path: string): boolean {
  const { uid, mode } = statSync(path);
  if (uid === 0 && (mode & S.ISUID) !== 0) return true;
  using folder = openDirectory(dirname(path));
  return (
    unless(["ENODATA", "EOPNOTSUPP"], () => getXattrAt(folder, basename(path), "security.capability")) !== undefined
  );
}

function subordinates(kind: Kind): Finding {
  const ranges = readRanges(kind);
  const lack = lackOf(kind, ranges);
  if (lack !== undefined) return { name: kinds[kind], state: "missing", detail: lack.message, hint: lack.hint };
  const texts = ranges.map(({ start, count }) => `${count} from ${start}`);
  return { name: kinds[kind], state: "ok", detail: `${userName()} has ${texts.join(", ")}` };
}

function state(): Finding {
  try {
    chooseUpper({ kind: "directory", path: stateDir }, "overlay");
    using directory = openDirectory(stateDir);
    const { type, freeBytes } = fileSystemOf(directory);
    return {
      name: "state",
      state: "ok",
      detail: `${stateDir} is on ${type}, ${(freeBytes / 2 ** 30).toFixed(1)} GiB free`,
    };
  } catch (error) {
    const hint = "XDG_STATE_HOME=DIR on a local file system, or --upper DIR and --upper tmpfs";
    return { name: "state", state: "missing", detail: error instanceof Error ? error.message : String(error), hint };
  }
}
