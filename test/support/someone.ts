import { expect } from "bun:test";
import { execFileSync } from "node:child_process";
import { appendFileSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "./directories.ts";
import { executable, run, type RunOptions, type RunResult } from "./fallthru.ts";
import { tinyRoot } from "./roots.ts";

/** Somebody who isn't root, in this test file's own /etc: with a home, and subordinate ids. */
export interface Someone {
  readonly uid: number;
  readonly name: string;
  readonly home: string;
  /** Where their Fallthru keeps sessions. */
  readonly state: string;
  /** The words that run a program as them. */
  readonly words: readonly string[];
  readonly run: (command: readonly string[], options?: RunOptions) => Promise<RunResult>;
  readonly fallthru: (args: readonly string[], options?: RunOptions) => Promise<RunResult>;
  /** Gives /etc its files back. */
  readonly leave: () => void;
}

const name = "anna";
/** Another in each test file: what runs side by side isn't one user's. */
const uid = 42_000 + (process.pid % 20_000);

/** What the user has of the test's own environment, as a login has it: no XDG variables. */
const environment = Object.fromEntries(Object.keys(process.env).map((key) => [key, undefined]));

export function someone({ subordinate = `${name}:1000000:65536\n` }: { subordinate?: string } = {}): Someone {
  const directory = temporaryDirectory("etc");
  const home = temporaryDirectory("home");
  execFileSync("chown", [`${uid}:${uid}`, home]);
  const laid = [
    layOver(directory, "passwd", `${name}:x:${uid}:${uid}::${home}:/bin/sh\n`),
    layOver(directory, "group", `${name}:x:${uid}:\n`),
    layOver(directory, "subuid", subordinate),
    layOver(directory, "subgid", subordinate),
  ];
  const words = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--init-groups", "--"];
  const login = { HOME: home, USER: name, PATH: "/usr/local/bin:/usr/bin:/bin", TERM: "dumb" };
  const runAs = (command: readonly string[], options: RunOptions = {}) =>
    run([...words, ...command], { directory: home, ...options, env: { ...environment, ...login, ...options.env } });
  return {
    uid,
    name,
    home,
    state: join(home, ".local/state/fallthru"),
    words,
    run: runAs,
    fallthru: (args, options) => runAs([executable, ...args], options),
    leave: () => laid.forEach((path) => execFileSync("umount", [path])),
  };
}

/** Gives somebody a copy of a tiny root, as their chroot `tiny`. @returns where it is */
export async function giveTinyRoot(who: Someone): Promise<string> {
  const root = join(who.home, "tiny");
  execFileSync("cp", ["-a", tinyRoot(), root]);
  execFileSync("chown", ["-R", `${who.uid}:${who.uid}`, root]);
  expect(await who.fallthru(["chroot", "add", "tiny", root])).toMatchObject({ status: 0, stderr: "" });
  return root;
}

function layOver(directory: string, file: string, lines: string): string {
  const [path, copy] = [`/etc/${file}`, join(directory, file)];
  mkdirSync(directory, { recursive: true });
  if (existsSync(path)) copyFileSync(path, copy);
  else writeFileSync(path, "");
  appendFileSync(copy, lines);
  execFileSync("chmod", ["755", directory]);
  execFileSync("chmod", ["644", copy]);
  execFileSync("mount", ["--bind", copy, path]);
  return path;
}
