import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "./measure.ts";
import type { Place } from "./place.ts";

/** Somebody who isn't root, in this name space's own passwd(5): her first group is `sbuild`. */
export interface Builder {
  readonly name: string;
  readonly home: string;
  /** Words before a command that is to be hers. */
  readonly as: readonly string[];
}

const uid = 4711;

/** Makes an account for this name space. */
export function makeBuilder({ base }: Place): Builder {
  const home = join(base, "home");
  mkdirSync(home);
  run(["chown", `${uid}:sbuild`, home]);
  const [, , gid = ""] = run(["getent", "group", "sbuild"]).split(":");
  addLine(base, "passwd", `builder:x:${uid}:${gid}::${home}:/bin/sh`);
  addLine(base, "shadow", "builder:*:19000::::::");
  const environment = ["env", "-i", `HOME=${home}`, "USER=builder", "LOGNAME=builder", "PATH=/usr/bin:/bin"];
  return {
    name: "builder",
    home,
    as: ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--init-groups", ...environment],
  };
}

function addLine(base: string, name: string, line: string): void {
  const copy = join(base, name);
  writeFileSync(copy, `${readFileSync(`/etc/${name}`, "utf8")}${line}\n`);
  chmodSync(copy, name === "shadow" ? 0o600 : 0o644);
  run(["mount", "--bind", copy, `/etc/${name}`]);
}

/** Our own `schroot`: the executable under another name. */
export function linkSchroot({ fallthru }: Place): string {
  const link = join(fallthru, "../schroot");
  if (!existsSync(link)) symlinkSync("fallthru", link);
  return link;
}

/** The service of this place; the machine's own isn't touched. */
export async function startService({ base, fallthru }: Place): Promise<ChildProcess> {
  const directory = join(base, "run-fallthrud");
  for (const path of [directory, "/run/fallthrud"]) mkdirSync(path, { recursive: true });
  run(["mount", "--bind", directory, "/run/fallthrud"]);
  const service = spawn(fallthru, ["daemon", "--foreground"], { stdio: ["ignore", "inherit", "inherit"] });
  for (let waited = 0; !existsSync("/run/fallthrud/socket"); waited += 20) {
    if (waited > 10_000) throw new Error("the service doesn't come up");
    await sleep(20);
  }
  return service;
}

/** Copies a file of this directory to where everybody can read it. */
export function publish({ base }: Place, name: string): string {
  const copy = join(base, name);
  copyFileSync(join(import.meta.dirname, name), copy);
  chmodSync(copy, 0o755);
  return copy;
}
