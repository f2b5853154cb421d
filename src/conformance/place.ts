import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { MNT_DETACH, MOUNT_ATTR, SYS } from "../kernel/abi/mount.ts";
import { attachAt } from "../fuse/connection.ts";
import { isErrno } from "../kernel/error.ts";
import { makeMount } from "../kernel/mount.ts";
import { AT_FDCWD, call, path as cString, undo } from "./kit/kernel.ts";
import type { Probe } from "./probe.ts";
import type { System } from "./systems.ts";
import { sleep } from "./kit/program.ts";

/** The directories of a union. Of a plain directory all but `work` are itself. */
export interface Layers {
  readonly lower: string;
  /** Below `lower`; it takes part where a probe puts something into it. */
  readonly bottom: string;
  readonly upper: string;
  readonly work: string;
}

const umount_ = call("umount2", "int", ["void *", "int"]);
const fspick_ = call("syscall", "long", ["long", "int", "void *", "unsigned int"]);
const fsconfig_ = call("syscall", "long", ["long", "int", "unsigned int", "void *", "void *", "int"]);
const close_ = call("close", "int", ["int"]);
const [SYS_fspick, FSPICK_CLOEXEC, FSCONFIG_CMD_RECONFIGURE] = [433, 1, 7];

/** Where one probe of one system runs: its directories, and what there is to do with the mount. */
export class Place {
  readonly system: System;
  readonly layers: Layers;
  readonly mount: string;
  /** A directory of the layers' file system that isn't part of any. */
  readonly outside: string;
  readonly #base: string;
  readonly #probe: Probe;
  #isMounted = false;

  constructor(system: System, probe: Probe, base: string) {
    this.system = system;
    this.#probe = probe;
    this.#base = mkdtempSync(join(base, "p"));
    chmodSync(this.#base, 0o755);
    this.mount = this.#directory("mount");
    this.outside = this.#directory("outside");
    this.layers = this.#makeLayers();
  }

  get isUnion(): boolean {
    return this.system.isUnion;
  }

  #directory(name: string): string {
    const path = join(this.#base, name);
    mkdirSync(path);
    return path;
  }

  #makeLayers(): Layers {
    const { mount } = this;
    if (!this.isUnion) return { lower: mount, bottom: mount, upper: mount, work: this.outside };
    const [lower, bottom, top] = [this.#directory("lower"), this.#directory("bottom"), this.#directory("top")];
    if (this.#probe.arrangement === "apart") for (const path of [lower, bottom]) mountTmpfs(path);
    if (this.#probe.arrangement === "small") mountTmpfs(top, "4m");
    return { lower, bottom, upper: this.#directory("top/upper"), work: this.#directory("top/work") };
  }

  attach(): void {
    const { lower, bottom, upper, work } = this.layers;
    this.#packLower();
    const hasBottom = readdirSync(bottom).length > 0;
    const lowers = hasBottom ? [lower, bottom] : [lower];
    this.system.mount({ lowers, upper, work }, this.mount, this.#probe.options ?? []);
    this.#isMounted = true;
  }

  /** Once: what the probe has put into the lower is then an image's. */
  #packLower(): void {
    const { arrangement } = this.#probe;
    if (!this.isUnion || (arrangement !== "squashfs" && arrangement !== "erofs")) return;
    const image = join(this.#base, "image");
    if (existsSync(image)) return;
    const { lower } = this.layers;
    const pack =
      arrangement === "erofs"
        ? ["mkfs.erofs", "--quiet", image, lower]
        : ["mksquashfs", lower, image, "-quiet", "-no-progress", "-no-xattrs"];
    for (const [program = "", ...args] of [pack, ["mount", "-o", "loop,ro", image, lower]]) {
      const { status, stderr } = spawnSync(program, args);
      if (status !== 0) throw new Error(`${program}: ${stderr?.toString() ?? "is missing"}`);
    }
  }

  /** Unmounts, and mounts anew: what was open is closed, and only what the layers hold is still known. */
  remount(whileUnmounted: () => void = () => {}): void {
    this.detach();
    whileUnmounted();
    this.attach();
  }

  detach(): void {
    process.chdir("/");
    undo();
    if (this.#isMounted && (this.isUnion || this.#probe.options !== undefined)) unmount(this.mount);
    this.#isMounted = false;
  }

  /** Has the kernel forget what isn't in use, as it does when memory is short. A plain directory's keeps it. */
  evict(): void {
    if (!this.isUnion) return;
    const fd = fspick_(SYS_fspick, AT_FDCWD, cString(this.mount), FSPICK_CLOEXEC);
    fsconfig_(SYS.fsconfig, fd, FSCONFIG_CMD_RECONFIGURE, null, null, 0);
    close_(fd);
    // What is told to a server meanwhile takes a moment: files that are released hold their inodes until then.
    sleep(20);
  }

  /** Whatever the probe has left goes. */
  remove(): void {
    undo();
    for (const name of ["mount", "top", "bottom", "lower"]) {
      const path = join(this.#base, name);
      for (let tries = 0; existsSync(path) && isUnmounted(path) && tries < 4; tries++);
    }
    rmSync(this.#base, { recursive: true, force: true });
  }
}

/** Those who were killed may take a moment to let go. */
function unmount(path: string): void {
  for (let tries = 0; ; tries++) {
    try {
      umount_(cString(path), 0);
      return;
    } catch (error) {
      if (!isErrno(error, "EBUSY") || tries === 200) throw error;
      sleep(5);
    }
  }
}

/** Takes the topmost mount from a directory; false where there was none. */
function isUnmounted(path: string): boolean {
  try {
    umount_(cString(path), MNT_DETACH);
    return true;
  } catch (error) {
    if (isErrno(error, "EINVAL")) return false;
    throw error;
  }
}

function mountTmpfs(path: string, size?: string): void {
  attachAt(makeMount("tmpfs", [["mode", "755"], ...(size === undefined ? [] : [["size", size] as const])]), path);
}

/** MOUNT_ATTR flags of mount(8)'s options. */
export function attributesOf(options: readonly string[]): number {
  const flags: Readonly<Record<string, number>> = {
    ro: MOUNT_ATTR.RDONLY,
    nosuid: MOUNT_ATTR.NOSUID,
    nodev: MOUNT_ATTR.NODEV,
    noexec: MOUNT_ATTR.NOEXEC,
    noatime: MOUNT_ATTR.NOATIME,
    strictatime: MOUNT_ATTR.STRICTATIME,
  };
  return options.reduce((sum, option) => sum | (flags[option] ?? 0), 0);
}
