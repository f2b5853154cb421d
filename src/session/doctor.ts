import { accessSync, constants, existsSync, mkdirSync, rmSync } from "node:fs";
import { isErrno } from "../kernel/error.ts";
import { release } from "node:os";
import { readChroots } from "../chroot/config.ts";
import { problemText } from "../chroot/problem.ts";
import { dirname, resolve } from "node:path";
import { fileSystemOf, openDirectory } from "../kernel/file.ts";
import { makeMount } from "../kernel/mount.ts";
import { isUsers } from "../places.ts";
import { canBuildDetached } from "../mount/detached.ts";
import { makeOverlay } from "../mount/overlay/mount.ts";
import { describeControllers } from "./cgroup.ts";
import { chooseUpper } from "./layers.ts";
import { stateDir } from "./paths.ts";
import { diagnoseUser } from "./rootless/diagnose.ts";

export interface Finding {
  readonly name: string;
  readonly state: "ok" | "warning" | "missing";
  readonly detail: string;
  /** The way out. */
  readonly hint?: string;
}

/** What this machine can do and what it lacks. Tries things out; leaves nothing behind. */
export function diagnose(): Finding[] {
  return [
    ...(isUsers ? diagnoseUser() : [superuser()]),
    kernel(),
    ...(isUsers ? [] : [...stateAndOverlay(), tmpfs()]),
    fuse(),
    ...(isUsers ? [] : [mountHelper()]),
    cgroups(),
    ...programs(),
    ...descriptions(),
  ];
}

function superuser(): Finding {
  return { name: "superuser", state: "ok", detail: "running as root" };
}

function kernel(): Finding {
  const version = release();
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < 6 || (major === 6 && minor < 7)) {
    return {
      name: "kernel",
      state: "missing",
      detail: `Linux ${version} can't take overlay layers one by one (lowerdir+)`,
      hint: "Linux 6.7 or newer is needed: apt install linux-image-amd64/bookworm-backports",
    };
  }
  if (canBuildDetached())
    return { name: "kernel", state: "ok", detail: `Linux ${version}: a session's mounts appear in one call` };
  return {
    name: "kernel",
    state: "warning",
    detail: `Linux ${version} attaches a session's mounts one by one`,
    hint: "from 6.15 on they appear in one call; sessions are safe either way",
  };
}

/** Where nothing can be kept, an overlay there would fail as well, and say less about it. */
function stateAndOverlay(): Finding[] {
  const found = state();
  return found.state === "ok" ? [overlay(), found] : [found];
}

/** Mounts an overlay in a scratch place and says which options it took. */
function overlay(): Finding {
  return attempt("overlayfs", "load the module: modprobe overlay", () => {
    const base = `${stateDir}/.doctor-${process.pid}`;
    const dirs = ["lower", "upper", "work"].map((name) => `${base}/${name}`);
    try {
      for (const dir of dirs) mkdirSync(dir, { recursive: true, mode: 0o700 });
      const [lower = "", upper = "", work = ""] = dirs;
      const made = makeOverlay({ type: "overlay", lowers: [lower], upper, work, volatile: true }, 0, (path) =>
        openDirectory(path),
      );
      made.mount.close();
      return `mounts with ${made.options.join(", ")}`;
    } finally {
      rmSync(base, { recursive: true, force: true });
    }
  });
}

function state(): Finding {
  return attempt("state", "give it a local file system, or use --upper DIR and --upper tmpfs", () => {
    mkdirSync(stateDir, { recursive: true });
    if (!isWritable(stateDir)) throw new Error(`${stateDir} can't be written to`);
    chooseUpper({ kind: "directory", path: stateDir }, "overlay");
    using directory = openDirectory(stateDir);
    const { type, freeBytes } = fileSystemOf(directory);
    return `${stateDir} is on ${type}, ${(freeBytes / 2 ** 30).toFixed(1)} GiB free`;
  });
}

function tmpfs(): Finding {
  return attempt("tmpfs", "the kernel needs CONFIG_TMPFS and CONFIG_TMPFS_XATTR", () => {
    makeMount("tmpfs", [["source", "fallthru"]]).close();
    return "sessions can be kept in memory: --upper tmpfs";
  });
}

function fuse(): Finding {
  const device = "/dev/fuse";
  const use = "used by mount and --union fallthru";
  if (!existsSync(device))
    return { name: "fuse", state: "warning", detail: `no ${device}; ${use}`, hint: "load the module: modprobe fuse" };
  if (isWritable(device)) return { name: "fuse", state: "ok", detail: "unions of our own can be mounted" };
  return {
    name: "fuse",
    state: "warning",
    detail: `${device} is not yours to open; ${use}`,
    hint: `as root: chmod 666 ${device}`,
  };
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch (error) {
    if (isErrno(error, "EACCES", "EROFS")) return false;
    throw error;
  }
}

/** What mount(8) calls, and where it lies to be linked: beside this program, or where a package has put it. */
function mountHelper(): Finding {
  const [name, helper] = ["mount -t fallthru", "/sbin/mount.fallthru"];
  if (existsSync(helper)) return { name, state: "ok", detail: helper };
  const own = dirname(process.execPath);
  const script = [`${own}/share`, `${own}/../share`, "/usr/share"]
    .map((share) => resolve(share, "fallthru/mount.fallthru"))
    .find((path) => existsSync(path));
  const hint = script === undefined ? "see docs/mount.md" : `ln -s ${script} ${helper}`;
  return { name, state: "warning", detail: `no ${helper}; for mount(8) and fstab(5)`, hint };
}

function cgroups(): Finding {
  const found = describeControllers();
  const missing = found.filter(({ where }) => where === undefined).map(({ controller }) => controller);
  const detail = found.map(({ controller, where }) => `${controller}: ${where ?? "none"}`).join(", ");
  if (missing.length === 0) return { name: "cgroups", state: "ok", detail };
  return {
    name: "cgroups",
    state: "warning",
    detail,
    hint: isUsers
      ? "for --memory, --cpus and --pids: systemd-run --user --scope fallthru \u2026"
      : "mount cgroup 2 on /sys/fs/cgroup for --memory, --cpus and --pids",
  };
}

/** Programs that some verbs start, and the Debian packages that have them. */
function programs(): Finding[] {
  const wanted: readonly (readonly [name: string, packageName: string, use: string])[] = [
    ["mmdebstrap", "mmdebstrap", "chroot create"],
    ...(isUsers ? [] : [["debootstrap", "debootstrap", "chroot create, where mmdebstrap is missing"] as const]),
    ["xz", "xz-utils", "chroot import of .tar.xz"],
    ["zstd", "zstd", "chroot import of .tar.zst on an older Node"],
  ];
  return wanted.map(([name, packageName, use]) => {
    const found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].find((directory) => existsSync(`${directory}/${name}`));
    if (found !== undefined) return { name, state: "ok", detail: `${found}/${name}` };
    return {
      name,
      state: "warning",
      detail: `not installed; used by ${use}`,
      hint: `${isUsers ? "as root: " : ""}apt install ${packageName}`,
    };
  });
}

/** What is wrong in the descriptions of chroots: each keeps a chroot from being used, or is taken otherwise by schroot. */
function descriptions(): Finding[] {
  const { chroots, problems, warnings } = readChroots();
  const found = [...problems, ...warnings].map((problem): Finding => {
    const hint = problem.hint === undefined ? {} : { hint: problem.hint };
    return { name: "chroots", state: "warning", detail: problemText(problem), ...hint };
  });
  return found.length > 0 ? found : [{ name: "chroots", state: "ok", detail: `${chroots.length} described` }];
}

function attempt(name: string, hint: string, probe: () => string): Finding {
  try {
    return { name, state: "ok", detail: probe() };
  } catch (error) {
    return { name, state: "missing", detail: error instanceof Error ? error.message : String(error), hint };
  }
}
