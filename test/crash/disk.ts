// Disks that are copied as a power cut would leave them.
import { execFileSync } from "node:child_process";
import { closeSync, fsyncSync, openSync, unlinkSync } from "node:fs";
import { restart } from "./session.ts";

/**
 * What of a file system has reached its disk: what was synced; also the journal, so that there are names and sizes, but
 * not yet the content of files that weren't synced (delayed allocation); all of it.
 */
export const depths = ["synced", "journal", "all"] as const;
export type Depth = (typeof depths)[number];

let mounted: string[] = [];

export function makeDisk(image: string, size: string): void {
  execFileSync("truncate", ["-s", size, image]);
  execFileSync("mkfs.ext4", ["-q", "-b", "1024", "-J", "size=1", image]);
}

/** A commit every ten minutes is one that never comes by itself. */
export function mountDisk(image: string, at: string): void {
  execFileSync("mount", ["-o", "loop,commit=600", image, at]);
  mounted.push(at);
}

/** As a restart of the machine: disks are unmounted, and all that is in memory is gone. */
export function unmountAll(): void {
  restart();
  for (const path of mounted.toReversed()) execFileSync("umount", [path]);
  mounted = [];
}

/** Writes to the disk below `path` as much as the depth says. */
export function settleDisk(path: string, depth: Depth): void {
  if (depth === "synced") return;
  if (depth === "all") {
    execFileSync("sync", ["--file-system", path]);
    return;
  }
  // The journal is committed as a whole, whoever asks for it.
  const file = openSync(`${path}/.other`, "w");
  fsyncSync(file);
  closeSync(file);
  unlinkSync(`${path}/.other`);
}
