// deadline: 300
// Random trees, random changes: a commit must do what `rsync -aHAX --delete` of all that the session shows would do, and undo
// must take it back. FALLTHRU_COMMIT_CASES=1000 for more than the usual.
import { afterAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beginSession } from "../../src/session/begin.ts";
import { commitSession } from "../../src/session/commit/commit.ts";
import { undoCommit } from "../../src/session/commit/undo.ts";
import { endSession } from "../../src/session/end.ts";
import { recoverSessions } from "../../src/session/recover.ts";
import { mountPointOf } from "../../src/session/paths.ts";
import { describeChroot, makeBareProfile, temporaryDirectory } from "../support/directories.ts";
import { describeTree, describeWithoutHoles } from "../support/tree.ts";
import { changeRandomly } from "../support/unions.ts";
import { openTrees } from "../../src/session/changes/trees.ts";
import { readChanges } from "../../src/session/changes/read.ts";
import { readRecord } from "../../src/session/record.ts";

const cases = Number(process.env["FALLTHRU_COMMIT_CASES"] ?? 30);
const first = Number(process.env["FALLTHRU_COMMIT_SEED"] ?? 1);
const base = temporaryDirectory("commit");
makeBareProfile();

afterAll(() => {
  rmSync(base, { recursive: true });
});

/** With files that have ACLs and capabilities, and one with holes. */
function fill(root: string, seed: number): void {
  mkdirSync(root);
  changeRandomly(root, seed, 40);
  if (seed % 4 !== 0) return;
  const programs = ["z", "y", "x"].map((name) => join(root, name));
  for (const program of programs) writeFileSync(program, "program");
  execFileSync("truncate", ["-s", "1M", join(root, "z")]);
  execFileSync(
    "setcap",
    programs.flatMap((program) => ["cap_net_raw+ep", program]),
  );
  execFileSync("setfacl", ["-m", "u:7:r,d:u:8:rwx", root]);
}

/** Only attributes of what has capabilities: to set some of them takes others away. */
function changePrograms(root: string, seed: number): void {
  if (seed % 4 !== 0) return;
  execFileSync("sh", ["-c", "touch z; chmod 700 y; chown 5:6 x"], { cwd: root });
}

function pause(): void {
  // What is made in the same tick of the file system's clock as the session counts as changed since.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 25);
}

function sync(from: string, to: string): void {
  const rsync = ["-aHAXx", "--modify-window=-1", "--delete", "--numeric-ids", `${from}/`, `${to}/`];
  try {
    execFileSync("rsync", rsync, { stdio: "pipe" });
  } catch {
    // It stumbles over some things that it finds there already, such as a link where it wants a directory with an ACL.
    rmSync(to, { recursive: true });
    mkdirSync(to);
    execFileSync("rsync", rsync);
  }
}

async function checkCase(seed: number): Promise<void> {
  const place = mkdtempSync(join(base, "case-"));
  const [root, expected] = [join(place, "root"), join(place, "expected")];
  fill(root, seed);
  mkdirSync(expected);
  sync(root, expected);
  const original = describeTree(root);
  describeChroot("t", root, ["profile=bare"]);
  pause();
  await beginSession("t", { name: "s", ...(seed % 10 === 9 ? { union: "fallthru" } : {}) });
  try {
    const merged = mountPointOf("s");
    pause();
    // The one file that begin itself writes.
    rmSync(join(merged, "etc"), { recursive: true });
    changePrograms(merged, seed);
    changeRandomly(merged, seed + 100_000, 30);
    sync(merged, expected);
    const seen = describeWithoutHoles(merged);
    await commitSession("s");
    expect(compared(root)).toEqual(compared(expected));
    expect(describeWithoutHoles(merged)).toEqual(seen);
    if (seed % 3 === 0) writeFileSync("/proc/sys/vm/drop_caches", "2");
    expect(describeWithoutHoles(merged)).toEqual(seen);
    expect(changesOf("s")).toEqual([]);
    if (seed % 2 === 0) {
      changeRandomly(merged, seed + 200_000, 10);
      const again = describeWithoutHoles(merged);
      await commitSession("s");
      sync(merged, expected);
      expect(compared(root)).toEqual(compared(expected));
      expect(describeWithoutHoles(merged)).toEqual(again);
      // What it brings back shows where the session has had something of its own, and deleted that since.
      await undoAll();
    } else {
      await undoAll();
      expect(describeWithoutHoles(merged)).toEqual(seen);
    }
    expect(describeTree(root)).toEqual(original);
  } finally {
    await recoverSessions();
    await endSession("s", { force: true });
    rmSync(place, { recursive: true });
    rmSync("/var/lib/fallthru/sessions/.commits", { recursive: true, force: true });
  }
}

/**
 * What rsync makes too: without -S it fills holes, and it knows of no further name that a file has among what a commit has
 * replaced and keeps.
 */
function compared(path: string): string[] {
  const lines = describeTree(path).map((line) => line.replace(/ (no )?holes/, ""));
  const names = new Map<string, number>();
  const groupOf = (line: string): string | undefined => / = (\S+)$/.exec(line)?.[1];
  for (const line of lines) names.set(groupOf(line) ?? "", (names.get(groupOf(line) ?? "") ?? 0) + 1);
  return lines.map((line) => (names.get(groupOf(line) ?? "") === 1 ? line.replace(/ = \S+$/, "") : line));
}

async function undoAll(): Promise<void> {
  for (;;) {
    try {
      await undoCommit();
    } catch (error) {
      if (error instanceof Error && error.message === "there is no commit to undo") return;
      throw error;
    }
  }
}

function changesOf(id: string): readonly string[] {
  const record = readRecord(id);
  if (record === undefined) throw new Error("no record");
  using trees = openTrees(record);
  return readChanges(trees).map((each) =>
    JSON.stringify(each, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value)),
  );
}

test("a commit does what rsync does, leaves the session's view as it is, and can be undone", async () => {
  for (let seed = first; seed < first + cases; seed++) {
    try {
      await checkCase(seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
});
