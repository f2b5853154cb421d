// Files and directories of an upper that say by their path where below they are.
import { expect, test } from "bun:test";
import { linkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCommitSessions } from "../support/commits.ts";
import { fallthru } from "../support/fallthru.ts";

const { root, inside, text } = await makeCommitSessions(["one", "dir/file", "dir/sub/deep"]);

test("a file keeps its content of which another name was renamed and deleted, when that is committed and the session forked", async () => {
  await fallthru(["end", "s"]);
  linkSync(join(root, "srv/one"), join(root, `srv/dir/again${"-and".repeat(20)}`));
  await sleep(30);
  await fallthru(["begin", "t", "--name", "s"]);
  await inside("cd dir; name=$(echo again*); mv $name gone; rm gone; echo another >$name");
  expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
  expect(await fallthru(["fork", "@s", "--name", "other"])).toMatchObject({ status: 0 });
  for (const id of ["s", "other"])
    expect(await inside("cat one dir/again*", id)).toMatchObject({ stdout: "one\nanother\n", stderr: "" });
});

test.each(["overlay", "fallthru"])(
  "a file keeps its content of which another name was renamed out of a directory that an undo moves back, and deleted: %s",
  async (union) => {
    await fallthru(["end", "s"]);
    linkSync(join(root, "srv/dir/file"), join(root, "srv/linked"));
    await sleep(30);
    expect(await fallthru(["begin", "t", "--name", "s", "--union", union])).toMatchObject({ status: 0, stderr: "" });
    await inside("mv dir moved");
    expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
    await inside("mv moved/file gone; rm gone");
    expect(await fallthru(["undo"])).toMatchObject({ status: 0, stderr: "" });
    expect(await fallthru(["fork", "@s", "--name", "other"])).toMatchObject({ status: 0 });
    for (const id of ["s", "other"])
      expect(await inside("cat linked; ls moved", id)).toMatchObject({ stdout: "dir/file\nsub\n", stderr: "" });
    rmSync(join(root, "srv/linked"));
  },
);

test("undo of a renamed directory is refused where the session was forked since", async () => {
  await inside("mv dir moved");
  expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
  expect(await fallthru(["fork", "@s", "--name", "other"])).toMatchObject({ status: 0 });
  await fallthru(["end", "other"]);
  expect(await fallthru(["undo"])).toMatchObject({ status: 7, stderr: expect.stringContaining("forked") });
  expect((await inside("cat moved/file")).stdout).toBe("dir/file\n");
  await fallthru(["end", "s"]);
  expect(await fallthru(["undo"])).toMatchObject({ status: 0, stderr: "" });
  expect(text("dir/file")).toBe("dir/file\n");
});

test("undo of a renamed directory is refused while other sessions are over it, a fork or one that has the session's name by now", async () => {
  await inside("mv dir moved");
  expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
  expect(await fallthru(["fork", "@s", "--name", "other"])).toMatchObject({ status: 0 });
  await fallthru(["end", "s"]);
  expect(await fallthru(["undo"])).toMatchObject({
    status: 4,
    stderr: expect.stringContaining("end them first (fallthru end @other)"),
  });
  expect((await inside("cat moved/file", "other")).stdout).toBe("dir/file\n");
  await fallthru(["end", "other"]);
  expect(await fallthru(["begin", "t", "--name", "s"])).toMatchObject({ status: 0 });
  expect(await fallthru(["undo"])).toMatchObject({ status: 4, stderr: expect.stringContaining("@s") });
  expect(text("moved/file")).toBe("dir/file\n");
  expect(await fallthru(["undo", "--force"])).toMatchObject({ status: 0, stderr: expect.stringContaining("@s") });
  expect(text("dir/file")).toBe("dir/file\n");
});
