// Commits that can't be read, or can't be finished: the others are as before.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCommitRoot } from "../support/commits.ts";
import { temporaryDirectory } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";

const { root } = await makeCommitRoot(["one", "two", "dir/file"]);

beforeEach(async () => {
  await sleep(30);
  expect(await fallthru(["begin", "t", "--name", "s"])).toMatchObject({ status: 0, stderr: "" });
  await sleep(30);
});

afterEach(async () => {
  await fallthru(["end", "s", "other"]);
  rmSync(commits, { recursive: true, force: true });
});

async function inside(script: string): Promise<void> {
  const words = ["run", "@s", "--", "sh", "-ec", `cd /srv; ${script}`];
  expect(await fallthru(words, { directory: "/" })).toMatchObject({ status: 0, stderr: "" });
}

function text(path: string): string {
  return readFileSync(join(root, "srv", path), "utf8");
}

const commits = "/var/lib/fallthru/sessions/.commits";

/** Each in order. */
async function commitTwice(): Promise<[string, string]> {
  const ids: string[] = [];
  for (const script of ["echo more >>one", "echo more >>two"]) {
    await inside(script);
    const { stdout } = await fallthru(["commit", "s", "--json"]);
    ids.push((JSON.parse(stdout) as { commit: string }).commit);
    await sleep(20);
  }
  return [ids[0] ?? "", ids[1] ?? ""];
}

test.each(["{", "", "{}", "null", '{"version":1}'])(
  "a damaged journal (%j) is named, with what to do, and keeps nobody from the others",
  async (damage) => {
    const [older, newer] = await commitTwice();
    writeFileSync(join(commits, newer, "plan"), damage);
    const log = await fallthru(["log"]);
    expect(log.status).toBe(0);
    expect(log.stdout).toMatch(new RegExp(`^${newer} .* damaged `, "m"));
    expect(log.stdout).toMatch(new RegExp(`^${older} .* committed `, "m"));
    expect(log.stderr).toContain(`is damaged; nothing was touched; what that commit has replaced is still kept.`);
    expect(JSON.parse((await fallthru(["log", "--json"])).stdout)).toMatchObject({
      commits: [{ commit: older }],
      broken: [{ commit: newer, state: "damaged" }],
    });
    for (const args of [
      ["log", newer],
      ["undo", newer],
    ])
      expect(await fallthru(args)).toMatchObject({ status: 9, stderr: expect.stringContaining("/root") });
    // What was meant is the last one: the one before it isn't taken back instead.
    expect(await fallthru(["undo"])).toMatchObject({
      status: 9,
      stderr: expect.stringMatching(new RegExp(`the last commit can't be undone: .*\\nhint: .*undo ${older}`)),
    });
    expect([text("one"), text("two")]).toEqual(["one\nmore\n", "two\nmore\n"]);
    expect(await fallthru(["undo", older])).toMatchObject({ status: 0, stderr: "" });
    expect([text("one"), text("two")]).toEqual(["one\n", "two\nmore\n"]);
    expect(await fallthru(["commit", "s", "/srv/one"])).toMatchObject({ status: 0, stderr: "" });
    execFileSync("mv", [join(commits, newer), temporaryDirectory("damaged")]);
    expect(await fallthru(["undo"])).toMatchObject({ status: 0, stderr: "" });
    expect(text("one")).toBe("one\n");
  },
);

test("a commit that was left half done and can't be finished is named, and keeps only those to the same place", async () => {
  const [older, half] = await commitTwice();
  const elsewhere = temporaryDirectory("elsewhere");
  execFileSync("cp", ["-a", `${root}/.`, elsewhere]);
  // As a kill leaves it whose disk doesn't come back.
  rmSync(join(commits, half, "done"));
  writeFileSync("/var/lib/fallthru/sessions/.held/.commit", "");
  const plan = join(commits, half, "plan");
  const { areas } = JSON.parse(readFileSync(plan, "utf8")) as { areas: string[] };
  const [area = ""] = areas;
  execFileSync("mv", [area, `${area}.away`]);
  expect(await fallthru(["begin", "t", "--name", "other"])).toMatchObject({
    status: 0,
    stderr: expect.stringContaining(`commit ${half} was left by a process that was killed, and can't be finished`),
  });
  expect(await fallthru(["log"])).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(new RegExp(`^${half} .* unfinished `, "m")),
  });
  await inside("echo again >dir/file");
  for (const args of [["undo"], ["undo", older], ["commit", "s", "/srv/dir"]])
    expect(await fallthru(args)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining(`commit ${half} to ${root} was left half done`),
    });
  expect(text("dir/file")).toBe("dir/file\n");
  expect(await fallthru(["commit", "s", "/srv/dir", "--to", elsewhere])).toMatchObject({ status: 0, stderr: "" });
  // When the disk is there again the next command finishes it.
  execFileSync("mv", [`${area}.away`, area]);
  expect(await fallthru(["recover"])).toMatchObject({ status: 0, stderr: "" });
  expect(await fallthru(["undo", half])).toMatchObject({ status: 0 });
  expect(text("two")).toBe("two\n");
});
