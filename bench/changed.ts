import { appendFileSync, chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./measure.ts";
import type { Place } from "./place.ts";

const perDirectory = 50;

/** How many files a root has, and how many of them a session changes. */
export interface Sizes {
  readonly files: number;
  readonly changes: number;
}

/** Makes a root of files of 200 bytes to some kilobytes, 50 a directory. */
export function fillRoot(root: string, { files }: Pick<Sizes, "files">): void {
  for (let at = 0; at < files / perDirectory; at++) {
    mkdirSync(directoryOf(root, at), { recursive: true });
    for (let file = 0; file < perDirectory; file++)
      writeFileSync(join(directoryOf(root, at), `file${file}`), `${at} ${file}\n`.repeat(20 + (file % 50)));
  }
}

/** Begins a session over a root, with its name, and shows its union alone at `merged`, to be unmounted. */
export function beginOver({ fallthru }: Place, name: string, root: string, merged: string): void {
  writeFileSync(`/etc/schroot/chroot.d/${name}.conf`, `[${name}]\ntype=directory\ndirectory=${root}\nprofile=none\n`);
  mkdirSync("/etc/schroot/none", { recursive: true });
  for (const file of ["copyfiles", "fstab", "nssdatabases"]) writeFileSync(`/etc/schroot/none/${file}`, "");
  run([fallthru, "begin", name, "--name", name]);
  mkdirSync(merged);
  run(["mount", "--bind", `/run/fallthru/mount/${name}/${name}`, merged]);
}

/** Changes files all over such a root: four in ten are written to, two get another mode, two are new, one is deleted and one renamed. */
export function changeFiles(merged: string, { files, changes }: Sizes): void {
  const step = Math.max(1, Math.floor(files / changes));
  for (let done = 0, at = 0; done < changes; done++, at += step) {
    const directory = directoryOf(merged, Math.floor((at % files) / perDirectory));
    const path = join(directory, `file${at % perDirectory}`);
    const kind = done % 10;
    if (kind < 4) appendFileSync(path, "changed\n");
    else if (kind < 6) chmodSync(path, 0o600);
    else if (kind < 8) writeFileSync(join(directory, `new${at}`), "new\n".repeat(100));
    else if (kind < 9) rmSync(path);
    else renameSync(path, join(directory, `renamed${at}`));
  }
}

function directoryOf(root: string, at: number): string {
  return join(root, `top${at % 20}`, `directory${at}`);
}
