// A user's view of the machine's own root, and directories of others that can be entered and not listed.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Someone, someone } from "../support/someone.ts";

let anna: Someone;

beforeAll(() => {
  anna = someone();
});
afterAll(() => anna.leave());

const ok = async (args: readonly string[]): Promise<string> => {
  const { status, stdout, stderr } = await anna.fallthru(args);
  expect([args, stderr, status]).toEqual([args, "", 0]);
  return stdout;
};

test("has what lies in directories that may be entered and not listed, and of those that may not be entered nothing", async () => {
  const [open, closed] = ["open", "closed"].map((name) => join(anna.home, "..", name));
  if (open === undefined || closed === undefined) throw new Error("no places");
  for (const [path, mode] of [
    [open, "711"],
    [closed, "700"],
  ] as const) {
    mkdirSync(path);
    execFileSync("mount", ["-t", "tmpfs", "-o", `mode=${mode}`, "tmpfs", path]);
    mkdirSync(join(path, "hers"));
    writeFileSync(join(path, "hers/file"), "old\n");
    execFileSync("chown", ["-R", `${anna.uid}:${anna.uid}`, join(path, "hers")]);
  }
  // Beside a mount, so that it has a union of its own.
  const gone = join(anna.home, "..", "gone");
  mkdirSync(gone);
  try {
    // As their home would be: where they stand, they can change what is theirs.
    expect((await anna.fallthru(["begin", "--name", "view"], { directory: join(open, "hers") })).status).toBe(0);
    const script = `cd ${open}/hers && echo new >file && echo more >added; cat ${open}/hers/*; ls ${open} ${closed}`;
    expect(await anna.fallthru(["run", "@view", "--", "sh", "-c", script])).toMatchObject({
      stdout: `more\nnew\n${open}:\nhers\n`,
    });
    const stays = await anna.fallthru(["fork", "@view", "--name", "second"]);
    expect(stays).toMatchObject({ status: 0, stdout: "second\n" });
    await ok(["end", "second"]);
    rmdirSync(gone);
    const file = join(open, "hers/file");
    expect(readFileSync(file, "utf8")).toBe("old\n");
    expect(await ok(["diff", "@view", "--name-status"])).toContain(`M\t${file}\n`);
    await ok(["commit", "@view", join(open, "hers")]);
    expect(readFileSync(file, "utf8")).toBe("new\n");
    await ok(["undo"]);
    expect(readFileSync(file, "utf8")).toBe("old\n");
    await ok(["end", "view"]);
  } finally {
    for (const path of [open, closed]) execFileSync("umount", ["--lazy", path]);
  }
});
