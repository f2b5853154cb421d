import { expect, test } from "bun:test";
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { random } from "../../../../test/support/changes.ts";
import { temporaryDirectory } from "../../../../test/support/directories.ts";
import { Stage } from "../../../../test/support/stage.ts";
import { readChanges } from "../read.ts";
import { makePatches } from "./patch.ts";

type Next = (limit: number) => number;

const names = ["a", "b", "sp ace", "tab\there", 'quo"te', "back\\slash", "ümlaut", "new\nline"];

function pathOf(next: Next): string {
  return Array.from({ length: 1 + next(3) }, () => names[next(names.length)] ?? "a").join("/");
}

function textOf(next: Next): string {
  const lines = Array.from({ length: next(30) }, () => `line ${next(8)}`);
  return lines.join("\n") + (next(3) === 0 || lines.length === 0 ? "" : "\n");
}

/** What people do to texts; what doesn't fit what is there just fails. */
function changeOnce(root: string, next: Next): void {
  const [path, other] = [join(root, pathOf(next)), join(root, pathOf(next))];
  const edit = (text: string): string => {
    const lines = text.split("\n");
    lines.splice(next(lines.length + 1), next(3), ...(next(2) === 0 ? [] : [`edited ${next(9)}`]));
    return lines.join("\n");
  };
  const isPlain = (): boolean => fs.lstatSync(path).isFile();
  const kind = next(16);
  try {
    if (kind < 4) fs.mkdirSync(path);
    else if (kind < 8) fs.writeFileSync(path, textOf(next), { flag: "wx" });
    else if (kind < 11 && isPlain()) fs.writeFileSync(path, edit(fs.readFileSync(path, "utf8")));
    else if (kind < 12) fs.rmSync(path, { recursive: true });
    else if (kind < 14) fs.renameSync(path, other);
    else if (kind < 15) fs.symlinkSync(pathOf(next), path);
    else if (kind === 15 && isPlain()) fs.chmodSync(path, next(2) === 0 ? 0o755 : 0o644);
  } catch {
    // It wasn't there, or something else was.
  }
}

/** All that a patch can hold: texts, links, and whether the owner may execute. */
function describe(root: string, path = ""): string[] {
  return fs
    .readdirSync(join(root, path))
    .toSorted()
    .flatMap((name) => {
      const below = join(path, name);
      const attr = fs.lstatSync(join(root, below));
      if (attr.isDirectory()) return name === ".git" ? [] : describe(root, below);
      const content = attr.isFile() ? fs.readFileSync(join(root, below), "utf8") : fs.readlinkSync(join(root, below));
      return [JSON.stringify([below, attr.isFile() ? (attr.mode & 0o100) !== 0 : "link", content])];
    });
}

function applied(from: string, patch: Buffer, program: "git" | "patch"): string[] {
  const copy = join(temporaryDirectory("patch"), "tree");
  execFileSync("cp", ["-a", from, copy]);
  if (patch.length > 0) {
    const command =
      program === "git" ? ["git", "apply", "--whitespace=nowarn"] : ["patch", "-p1", "--force", "--silent"];
    const { status, stdout, stderr } = spawnSync(command[0] ?? "", command.slice(1), { cwd: copy, input: patch });
    if (status !== 0) throw new Error(`${program}: ${stdout.toString()}${stderr.toString()}`);
  }
  const found = describe(copy);
  fs.rmSync(copy, { recursive: true });
  return found;
}

for (const program of ["git", "patch"] as const) {
  test(`${program} makes of what was before what is there, by the patch`, () => {
    for (let seed = 1; seed <= 40; seed++) {
      const next = random(seed);
      using stage = new Stage("overlay", 1, (lower) => {
        for (let count = 0; count < 60; count++) changeOnce(lower, next);
      });
      for (let count = 0; count < 25; count++) changeOnce(stage.merged, next);
      using trees = stage.trees();
      const changes = readChanges([trees]);
      // patch(1) puts no file where a directory is, nor the other way round; git does.
      if (program === "patch" && changes.some(({ kind }) => kind === "type")) continue;
      const patches = [...makePatches([trees], changes)];
      const patch = Buffer.from(patches.map(({ text }) => text).join(""), "latin1");
      const lower = stage.union.lowers[0] ?? "";
      try {
        expect(applied(lower, patch, program)).toEqual(describe(stage.merged));
      } catch (error) {
        throw new Error(`seed ${seed}: ${String(error)}\n${patch.toString()}`, { cause: error });
      }
    }
  });
}

test("patch and git take names that end with a blank", () => {
  using stage = new Stage("overlay", 1, (lower) => fs.writeFileSync(join(lower, "changed "), "one\n"));
  for (const name of ["changed ", "new "]) fs.writeFileSync(join(stage.merged, name), "two\n");
  using trees = stage.trees();
  const patch = Buffer.from([...makePatches([trees], readChanges([trees]))].map(({ text }) => text).join(""), "latin1");
  for (const program of ["git", "patch"] as const)
    expect(applied(stage.union.lowers[0] ?? "", patch, program)).toEqual(describe(stage.merged));
});

test("links that were renamed, also with their directory, are taken; what is in .git is passed over, to be read", () => {
  using stage = new Stage("overlay", 1, (lower) => {
    fs.mkdirSync(join(lower, "dir"));
    for (const name of ["link", "dir/link"]) fs.symlinkSync("target", join(lower, name));
    fs.writeFileSync(join(lower, "dir/file"), "one\n");
  });
  for (const name of ["link", "dir"]) fs.renameSync(join(stage.merged, name), join(stage.merged, `${name}-moved`));
  fs.mkdirSync(join(stage.merged, "repo/.git/hooks"), { recursive: true });
  for (const name of ["repo/.git/hooks/pre-commit", "repo/file"]) fs.writeFileSync(join(stage.merged, name), "new\n");
  using trees = stage.trees();
  const patches = [...makePatches([trees], readChanges([trees]))];
  const patch = Buffer.from(patches.map(({ text }) => text).join(""), "latin1");
  expect(patch.toString()).toContain("# +++ b/repo/.git/hooks/pre-commit\n# @@ -0,0 +1 @@\n# +new\n");
  expect(patches.find(({ path }) => path.includes(".git"))?.notes).toEqual(["git apply takes nothing in .git"]);
  fs.rmSync(join(stage.merged, "repo/.git"), { recursive: true });
  for (const program of ["git", "patch"] as const)
    expect(applied(stage.union.lowers[0] ?? "", patch, program)).toEqual(describe(stage.merged));
});
