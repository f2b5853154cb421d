import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { attachAt } from "../fuse/connection.ts";
import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import { cloneMount, makeMount, type MountOption, setMountAttributes } from "../kernel/mount.ts";
import { isCompiled } from "../kernel/libc.ts";
import { attributesOf } from "./place.ts";

/** The layers of one mount, lowers from the top. */
export interface MountLayers {
  readonly lowers: readonly string[];
  readonly upper: string;
  readonly work: string;
}

/** A kind of file system that probes are held against. */
export interface System {
  readonly id: string;
  /** In the table's head. */
  readonly title: string;
  readonly isUnion: boolean;
  /** Probes run as the superuser of the machine, or of a user name space of their own. */
  readonly isPrivileged: boolean;
  readonly mount: (layers: MountLayers, target: string, options: readonly string[]) => void;
}

/** The executable, whose servers start fast; built, where this is the source. */
function program(): string {
  return isCompiled() ? process.execPath : resolve(import.meta.dirname, "../../build/fallthru");
}

/** The control: what a directory of the file system below does. */
const plain: System = {
  id: "plain",
  title: "plain directory",
  isUnion: false,
  isPrivileged: true,
  mount: (_, target, options) => {
    if (options.length === 0) return;
    const copy = cloneMount(null, target);
    setMountAttributes(copy, { set: attributesOf(options), clear: MOUNT_ATTR.ATIME__MASK });
    attachAt(copy, target);
  },
};

const best = ["index=on", "redirect_dir=on", "metacopy=on", "xino=on"];

export const systems: readonly System[] = [
  plain,
  { id: "overlay", title: "overlayfs", isUnion: true, isPrivileged: true, mount: overlay([]) },
  {
    id: "overlay-best",
    title: `overlayfs, ${best.join(", ")}`,
    isUnion: true,
    isPrivileged: true,
    mount: overlay(best),
  },
  { id: "fallthru", title: "fallthru", isUnion: true, isPrivileged: true, mount: fallthru([]) },
  {
    id: "fallthru-off",
    title: "fallthru, passthrough=off",
    isUnion: true,
    isPrivileged: true,
    mount: fallthru(["passthrough=off"]),
  },
  {
    id: "fallthru-user",
    title: "fallthru, without privilege",
    isUnion: true,
    isPrivileged: false,
    mount: fallthru([]),
  },
];

function overlay(pairs: readonly string[]): System["mount"] {
  return ({ lowers, upper, work }, target, options) => {
    const layers: MountOption[] = lowers.map((lower) => ["lowerdir+", lower]);
    layers.push(["upperdir", upper], ["workdir", work]);
    const wishes = pairs.map((pair): MountOption => {
      const [key = "", value = ""] = pair.split("=");
      return [key, value];
    });
    attachAt(makeMount("overlay", [...layers, ...wishes], attributesOf(options)), target);
  };
}

function fallthru(own: readonly string[]): System["mount"] {
  return ({ lowers, upper, work }, target, options) => {
    const all = [`lowerdir=${lowers.join(":")}`, `upperdir=${upper}`, `workdir=${work}`, ...own, ...options].join(",");
    const { status, stderr } = spawnSync(program(), ["mount", "-o", all, target], { timeout: 10_000 });
    if (status !== 0) throw new Error(`fallthru mount: ${stderr.toString()}`);
  };
}

export function systemOf(id: string): System {
  const system = systems.find((system) => system.id === id);
  if (system === undefined) throw new Error(`no system ${id}: ${systems.map(({ id }) => id).join(", ")}`);
  return system;
}
