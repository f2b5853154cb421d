import { expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCommitSessions } from "../support/commits.ts";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, startFallthru } from "../support/fallthru.ts";
import { Terminal } from "../support/terminal.ts";
import { describeTree } from "../support/tree.ts";

const { root, inside, text } = await makeCommitSessions(["one", "two", "dir/file", "dir/sub/deep"]);

test("commit writes what was changed, diff shows nothing any more, undo takes it back", async () => {
  const before = describeTree(root);
  await inside("echo more >>one; rm two; mkdir new; echo n >new/file; mv dir/file dir/renamed; chmod 700 dir");
  const seen = (await inside("find . -ls; cat one new/file dir/renamed")).stdout;
  expect(await fallthru(["commit", "@s"])).toMatchObject({ status: 0, stderr: "" });
  expect([text("one"), text("two"), text("new/file"), text("dir/renamed"), text("dir/file")]).toEqual([
    "one\nmore\n",
    undefined,
    "n\n",
    "dir/file\n",
    undefined,
  ]);
  writeFileSync("/proc/sys/vm/drop_caches", "2");
  expect((await inside("find . -ls; cat one new/file dir/renamed")).stdout).toBe(seen);
  expect(await fallthru(["diff", "@s", "--exit-code", "--times"])).toMatchObject({ status: 0 });
  expect(await fallthru(["commit", "@s", "--json"])).toMatchObject({ status: 0, stderr: "" });
  expect(await fallthru(["undo"])).toMatchObject({ status: 0, stderr: "" });
  expect(describeTree(root)).toEqual(before);
  expect(await fallthru(["undo"])).toMatchObject({ status: 3 });
  expect((await inside("find . -ls; cat one new/file dir/renamed")).stdout).toBe(seen);
});

test("PATHs choose, with the directories that they need", async () => {
  await inside("mkdir -p new/below; echo n >new/below/file; echo o >new/other; echo more >>one; rm -r dir");
  expect(await fallthru(["commit", "s", "/srv/new/below/file", "srv/dir"])).toMatchObject({ status: 0, stderr: "" });
  expect([text("new/below/file"), text("new/other"), text("one"), text("dir/file")]).toEqual([
    "n\n",
    undefined,
    "one\n",
    undefined,
  ]);
  expect(await fallthru(["commit", "s", "/srv/nothing"])).toMatchObject({
    status: 3,
    stderr: expect.stringContaining("nothing was changed at /srv/nothing"),
  });
  for (const verb of ["commit", "discard", "diff"])
    expect(await fallthru([verb, "s", "/srv/../one"])).toMatchObject({ status: 2 });
  expect((await fallthru(["diff", "s", "//srv/./one/"])).stdout).toContain("M /srv/one");
});

test("an empty PATH, as a script's unset variable gives it, is a mistake and not everything", async () => {
  await inside("echo more >>one");
  const before = describeTree(root);
  for (const verb of ["commit", "discard", "diff"])
    expect(await fallthru([verb, "s", ""])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("a PATH is empty"),
    });
  expect(describeTree(root)).toEqual(before);
  expect((await fallthru(["diff", "s"])).stdout).toContain("M /srv/one");
});

test("--dry-run prints what would be done, and does nothing", async () => {
  await inside("echo more >>one; rm two; mv dir moved; ln -s to link");
  const before = describeTree(root);
  const { stdout, status } = await fallthru(["commit", "s", "--dry-run"]);
  expect([status, stdout.split("\n").filter((line) => line !== "M /" && !line.endsWith("/srv"))]).toEqual([
    0,
    ["A /srv/link", "R /srv/dir -> /srv/moved", "M /srv/one", "D /srv/two", ""],
  ]);
  expect(describeTree(root)).toEqual(before);
  expect((await fallthru(["log"])).stdout).toBe("");
  expect(await fallthru(["commit", "s", "--to", join(root, "srv/one")])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("srv/one is no directory that could be committed to"),
  });
});

test("what others have changed since is a conflict: both sides are shown, nothing is written; --force takes ours", async () => {
  await inside("echo ours >one; rm two; echo ours >new; echo ours >dir/file; echo fine >fine");
  writeFileSync(join(root, "srv/one"), "theirs, longer\n");
  writeFileSync(join(root, "srv/two"), "theirs\n");
  writeFileSync(join(root, "srv/new"), "theirs\n");
  rmSync(join(root, "srv/dir"), { recursive: true });
  symlinkSync("/etc", join(root, "srv/dir"));
  const before = describeTree(root);
  const { status, stderr, stdout } = await fallthru(["commit", "s"]);
  expect([status, stdout]).toEqual([11, ""]);
  for (const line of [
    "conflict /srv/one: changed\n  session  file, 5 bytes, mode 644, owner 0:0, of ",
    "\n  target   file, 15 bytes, mode 644, owner 0:0, of ",
    "conflict /srv/two: changed\n  session  nothing\n  target   file, 7 bytes",
    "conflict /srv/new: changed\n  session  file, 5 bytes",
    "conflict /srv/dir: changed\n",
  ])
    expect(stderr).toContain(line);
  expect(describeTree(root)).toEqual(before);
  expect(await fallthru(["commit", "s", "/srv/fine"])).toMatchObject({ status: 0 });
  expect(await fallthru(["commit", "s", "--force"])).toMatchObject({ status: 0, stderr: "" });
  expect([text("one"), text("two"), text("new"), text("dir/file")]).toEqual(["ours\n", undefined, "ours\n", "ours\n"]);
  expect(lstatSync(join(root, "srv/dir")).isDirectory()).toBe(true);
  expect(existsSync("/etc/file")).toBe(false);
  await fallthru(["undo"]);
  await fallthru(["undo"]);
  expect(describeTree(root)).toEqual(before);
});

test("of a renaming by itself, undo brings the times of both directories back", async () => {
  const before = describeTree(root);
  await inside("mv one dir/sub/one");
  expect(await fallthru(["commit", "@s", "/srv/one"])).toMatchObject({ status: 0, stderr: "" });
  expect([text("one"), text("dir/sub/one")]).toEqual([undefined, "one\n"]);
  expect(await fallthru(["undo"])).toMatchObject({ status: 0, stderr: "" });
  expect(describeTree(root)).toEqual(before);
});

test.each(["overlay", "fallthru", "overlay, forked"])(
  "what others have deleted, and the session has changed, is a conflict: %s",
  async (kind) => {
    const [union = ""] = kind.split(",");
    await fallthru(["end", "s"]);
    await fallthru(["begin", "t", "--name", "s", "--union", union]);
    await sleep(30);
    await inside(
      "echo ours >>one; echo ours >>dir/file; mv two moved; echo new >new; echo more >>moved; echo fresh >two",
    );
    if (kind !== union) {
      await fallthru(["fork", "s", "--name", "other"]);
      await fallthru(["end", "other"]);
    }
    rmSync(join(root, "srv/one"));
    rmSync(join(root, "srv/dir"), { recursive: true });
    const before = describeTree(root);
    const { status, stderr } = await fallthru(["commit", "s"]);
    expect([status, stderr.match(/^conflict .*/gm)]).toEqual([
      11,
      ["conflict /srv/dir: vanished", "conflict /srv/dir/file: vanished", "conflict /srv/one: vanished"],
    ]);
    expect(describeTree(root)).toEqual(before);
    expect(await fallthru(["commit", "s", "/srv/new", "/srv/moved", "/srv/two"])).toMatchObject({
      status: 0,
      stderr: "",
    });
    expect([text("moved"), text("two")]).toEqual(["two\nmore\n", "fresh\n"]);
    // The union mount shows nothing any more of a directory whose lower has gone under it.
    const rest = union === "overlay" ? [] : ["/srv/one"];
    expect(await fallthru(["commit", "s", ...rest, "--force"])).toMatchObject({ status: 0, stderr: "" });
    expect([text("one"), text("dir/file")]).toEqual([
      "one\nours\n",
      union === "overlay" ? "dir/file\nours\n" : undefined,
    ]);
  },
);

test("a session's own commits are no conflicts, another's are", async () => {
  await fallthru(["begin", "t", "--name", "other"]);
  await inside("echo 1 >one");
  await inside("echo other >one", "other");
  expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: expect.stringContaining("@other") });
  await inside("echo 2 >one");
  expect(await fallthru(["commit", "s", "-q"])).toMatchObject({ status: 0, stderr: "" });
  expect(await fallthru(["commit", "other"])).toMatchObject({ status: 11 });
  await fallthru(["undo"]);
  await fallthru(["undo"]);
  expect(await fallthru(["commit", "s", "-q"])).toMatchObject({ status: 0, stderr: "" });
  expect(text("one")).toBe("2\n");
});

test("undo refuses where something was changed since", async () => {
  await inside("echo ours >one; mkdir new; echo n >new/file; rm two");
  await fallthru(["commit", "s"]);
  const restore = async (change: () => void, repair: () => void, path: string): Promise<void> => {
    change();
    const is = describeTree(root);
    expect(await fallthru(["undo"])).toMatchObject({ status: 11, stderr: expect.stringContaining(path) });
    expect(describeTree(root)).toEqual(is);
    repair();
  };
  const path = (name: string): string => join(root, "srv", name);
  await restore(
    () => writeFileSync(path("two"), "x"),
    () => rmSync(path("two")),
    "srv/two",
  );
  await restore(
    () => writeFileSync(path("new/more"), "x"),
    () => rmSync(path("new/more")),
    "srv/new",
  );
  await restore(
    () => writeFileSync(path("one"), "x"),
    () => {},
    "srv/new was changed since commit",
  );
});

test("undo says where that is kept which it can't bring back", async () => {
  await inside("echo ours >one; echo n >new");
  await fallthru(["commit", "s"]);
  const before = readFileSync(join(root, "srv/one"), "utf8");
  writeFileSync(join(root, "srv/one"), "theirs\n");
  const { status, stderr } = await fallthru(["undo"]);
  expect(status).toBe(11);
  const kept = /what was there before is (\S+)/.exec(stderr)?.[1] ?? "";
  expect(readFileSync(kept, "utf8")).toBe("one\n");
  expect(before).toBe("ours\n");
  // What the commit has added has nothing that was there before.
  writeFileSync(join(root, "srv/new"), "theirs\n");
  expect((await fallthru(["undo"])).stderr).toMatch(/what the commit has replaced lies in \/\S+/);
});

test("a renamed directory is committed when nothing runs inside, and is seen the same afterwards", async () => {
  await inside("mv dir moved; echo n >moved/new; mv moved/sub up");
  const seen = (await inside("find . -ls")).stdout;
  const child = startFallthru(["run", "@s", "--", "sh", "-c", "echo; exec sleep 1000"], { directory: "/" });
  await new Promise((done) => child.stdout?.once("data", done));
  expect(await fallthru(["commit", "s"])).toMatchObject({ status: 4, stderr: expect.stringContaining("sleep 1000") });
  expect(await fallthru(["commit", "s", "/srv/moved/new"])).toMatchObject({ status: 4 });
  const ended = new Promise((done) => child.once("exit", done));
  child.kill();
  await ended;
  const ino = lstatSync(join(root, "srv/dir/file")).ino;
  await fallthru(["begin", "t", "--name", "other"]);
  expect(await fallthru(["commit", "s"])).toMatchObject({ status: 4, stderr: expect.stringContaining("@other") });
  await fallthru(["end", "other"]);
  expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
  expect(lstatSync(join(root, "srv/moved/file")).ino).toBe(ino);
  expect((await inside("find . -ls")).stdout).toBe(seen);
  await inside("mv moved again");
  expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
  expect([text("again/file"), text("up/deep")]).toEqual(["dir/file\n", "dir/sub/deep\n"]);
  await fallthru(["undo"]);
  await fallthru(["undo"]);
  expect([text("dir/file"), text("dir/sub/deep")]).toEqual(["dir/file\n", "dir/sub/deep\n"]);
  expect((await inside("cat again/file again/new up/deep")).stdout).toBe("dir/file\nn\ndir/sub/deep\n");
});

test("--to writes to another directory, if that has what the session began with", async () => {
  const copy = temporaryDirectory("copy");
  execFileSync("cp", ["-a", `${root}/.`, copy]);
  await inside("echo more >>one; rm two; mv dir moved; echo n >new");
  expect(await fallthru(["commit", "s", "--to", copy])).toMatchObject({ status: 0, stderr: "" });
  expect(text("one")).toBe("one\n");
  expect(readFileSync(join(copy, "srv/one"), "utf8")).toBe("one\nmore\n");
  expect(readFileSync(join(copy, "srv/moved/file"), "utf8")).toBe("dir/file\n");
  expect(await fallthru(["undo"])).toMatchObject({ status: 0, stderr: "" });
  expect(describeTree(copy)).toEqual(describeTree(root));
  const empty = temporaryDirectory("empty");
  expect(await fallthru(["commit", "s", "/srv/one", "--to", empty])).toMatchObject({ status: 11 });
  expect(await fallthru(["commit", "s", "/srv/one", "/srv/moved", "--to", empty, "--force"])).toMatchObject({
    status: 0,
  });
  expect(readFileSync(join(empty, "srv/moved/sub/deep"), "utf8")).toBe("dir/sub/deep\n");
  expect(await fallthru(["commit", "s", "--to", "/nowhere"])).toMatchObject({ status: 3 });
});

test("log tells what was committed and undone, and gives up what is kept", async () => {
  await inside("cat /bin/busybox >one");
  await fallthru(["commit", "s"]);
  await inside("rm one");
  await fallthru(["commit", "s"]);
  const { commits } = JSON.parse((await fallthru(["log", "--json"])).stdout) as {
    commits: { commit: string; keptBytes: number }[];
  };
  expect(commits).toMatchObject([
    { session: "s", chroot: "t", user: "root", state: "committed", targets: [root] },
    { session: "s", state: "committed" },
  ]);
  expect(commits[0]?.keptBytes).toBeGreaterThan(99_999);
  const [last, firstOne] = commits.map(({ commit }) => commit);
  expect((await fallthru(["log", last ?? ""])).stdout).toContain("D /srv/one\n");
  expect(await fallthru(["log", "--forget", last ?? ""])).toMatchObject({
    status: 0,
    stdout: expect.stringContaining("M free"),
  });
  expect(await fallthru(["undo", last ?? ""])).toMatchObject({ status: 3 });
  expect(await fallthru(["undo", firstOne ?? ""])).toMatchObject({ status: 11 });
  expect((await fallthru(["log"])).stdout).toMatch(/forgotten[^]*committed/);
});

test("what is immutable in the target, and a full disk, are told before anything is changed", async () => {
  await inside("echo more >>one; echo more >>two");
  execFileSync("chattr", ["+i", join(root, "srv/one")]);
  const before = describeTree(root);
  try {
    expect(await fallthru(["commit", "s"])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("/srv/one is immutable"),
    });
    expect(describeTree(root)).toEqual(before);
  } finally {
    execFileSync("chattr", ["-i", join(root, "srv/one")]);
  }
  const small = temporaryDirectory("small");
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=2M", "tmpfs", small]);
  try {
    await inside("cat /bin/busybox /bin/busybox /bin/busybox >big");
    mkdirSync(join(small, "srv"));
    expect(await fallthru(["commit", "s", "/srv/big", "--to", small])).toMatchObject({ status: 8 });
    expect(execFileSync("find", [small]).toString()).toBe(`${small}\n${small}/srv\n`);
    expect((await fallthru(["log"])).stdout).toBe("");
  } finally {
    execFileSync("umount", [small]);
  }
});

test("so is an immutable directory into which something was renamed", async () => {
  const before = describeTree(root);
  await inside("mv one dir/sub/one");
  execFileSync("chattr", ["+i", join(root, "srv/dir/sub")]);
  const { status, stderr } = await fallthru(["commit", "@s", "/srv/one"]);
  execFileSync("chattr", ["-i", join(root, "srv/dir/sub")]);
  expect([status, stderr]).toEqual([1, expect.stringContaining("srv/dir/sub is immutable")]);
  expect(describeTree(root)).toEqual(before);
});

test("--interactive asks about each change, on a terminal only", async () => {
  await inside("echo more >>one; rm two; mkdir new; echo n >new/file; rm -r dir");
  expect(await fallthru(["commit", "s", "--interactive"])).toMatchObject({ status: 2 });
  const terminal = new Terminal([executable, "commit", "s", "--interactive"]);
  const answers: Readonly<Record<string, string>> = {
    "/srv/one": "y",
    "/srv/two": "n",
    "/srv/new": "y",
    "/srv/dir": "n",
  };
  for (const key of ["?", "d"]) {
    await terminal.until("[y,n,a,q,d,?] ");
    terminal.type(`${key}\n`);
  }
  for (let asked = ""; !asked.includes("/srv/two");) {
    asked = await terminal.until("[y,n,a,q,d,?] ");
    const path = Object.keys(answers).find((each) => asked.includes(`${each} `) || asked.includes(`${each}?`));
    terminal.type(`${answers[path ?? ""] ?? "n"}\n`);
  }
  expect(await terminal.ended).toMatchObject({ status: 0 });
  expect([text("one"), text("two"), text("new/file")]).toEqual(["one\nmore\n", "two\n", "n\n"]);
});

test("a fork commits what is from before it, and knows what others have changed since the first was begun", async () => {
  await inside("echo ours >one; echo ours >two; mv dir moved");
  writeFileSync(join(root, "srv/two"), "theirs\n");
  await sleep(30);
  expect(await fallthru(["fork", "@s", "--name", "other"])).toMatchObject({ status: 0 });
  await inside("echo later >new", "other");
  expect(await fallthru(["commit", "other"])).toMatchObject({
    status: 11,
    stderr: expect.stringContaining("/srv/two"),
  });
  expect(await fallthru(["commit", "other", "/srv/moved"])).toMatchObject({ status: 4 });
  expect(await fallthru(["commit", "other", "/srv/moved", "--force"])).toMatchObject({ status: 7 });
  expect(await fallthru(["commit", "other", "/srv/one", "/srv/new", "-q"])).toMatchObject({ status: 0, stderr: "" });
  expect([text("one"), text("new"), text("two")]).toEqual(["ours\n", "later\n", "theirs\n"]);
  expect((await inside("cat one moved/file new", "other")).stdout).toBe("ours\ndir/file\nlater\n");
});
