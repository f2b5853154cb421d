// deadline: 300
// chroot update under open sessions: each keeps what it was begun over, whatever comes, and the last of them takes that away.
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { restart } from "../crash/session.ts";
import { processesIn } from "../support/cgroup.ts";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run, startFallthru } from "../support/fallthru.ts";
import { leftoversAfter, type Traces, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import { describeAs, ext4Image } from "../support/rootstores.ts";
import { giveTinyRoot, someone } from "../support/someone.ts";

let before: Traces;
let tree: string;
/** The root of the chroot of this test. */
let root: string;

beforeAll(async () => {
  tree = tinyRoot();
  writeFileSync(join(tree, "etc/hostname"), "mark\n");
  writeFileSync(join(tree, "etc/replaced"), "generation 0\n");
  writeFileSync(join(tree, "etc/deleted"), "there\n");
  mkdirSync(join(tree, "etc/moved"));
  writeFileSync(join(tree, "etc/moved/file"), "inside\n");
  await fallthru(["recover"]);
  before = traces();
});

afterEach(async () => {
  await fallthru(["end", "--all"]);
  expect(await fallthru(["recover"])).toMatchObject({ status: 0, stderr: "" });
  // A loop device goes when the server of our own union has let go of it.
  expect(await leftoversAfter(before)).toEqual([]);
  expect(beside()).toEqual([]);
  expect(existsSync("/var/lib/fallthru/sessions/.replaced")).toBe(false);
});

/** What lies beside the root, which is in a directory of its own. */
const beside = (): string[] => readdirSync(dirname(root)).filter((name) => name !== basename(root));

function makeDirectory(keys: readonly string[] = []): void {
  root = join(temporaryDirectory("roots"), "root");
  execFileSync("cp", ["-a", tree, root]);
  describeChroot("c", root, ["profile=minimal", ...keys]);
}

function makeImage(keys: readonly string[] = []): void {
  root = ext4Image(tree);
  describeAs("c", "loopback", [`file=${root}`, "profile=minimal", ...keys]);
}

const ok = async (...args: string[]): Promise<string> => {
  const result = await fallthru(args);
  expect({ args, ...result }).toMatchObject({ args, status: 0, stderr: "" });
  return result.stdout;
};
const sh = (source: string, script: string) => ok("run", source, "--", "sh", "-c", script);
const update = (script: string) => fallthru(["chroot", "update", "c", "--", "sh", "-c", script]);

/** The next generation: one file has another in its place, one goes, one comes. */
const change = (generation: number): string =>
  `echo generation ${generation} > /etc/new && mv /etc/new /etc/replaced && rm -f /etc/deleted && echo ${generation} > /added${generation}`;
const look =
  "cat /etc/replaced; test ! -e /etc/deleted || cat /etc/deleted; for f in /added*; do test ! -e $f || echo $f; done";
const views = ["generation 0\nthere\n", "generation 1\n/added1\n", "generation 2\n/added1\n/added2\n"] as const;

const kinds = [
  ["a directory under overlay", () => makeDirectory()],
  ["a directory under our own union", () => makeDirectory(["union-type=fallthru"])],
  ["an image under overlay", () => makeImage()],
  ["an image under our own union", () => makeImage(["union-type=fallthru"])],
] as const;

describe.each(kinds)("an update of %s", (name, make) => {
  const isImage = name.includes("image");
  beforeEach(make);

  test("leaves open sessions what they have, and new ones begin with the new root", async () => {
    await ok("begin", "c", "--name", "s0");
    await sh("@s0", "echo own > /own; echo changed >> /etc/replaced; mv /etc/moved /etc/elsewhere || true");
    await ok("begin", "c", "--name", "t0");
    expect(await update(change(1))).toMatchObject({ status: 0, stderr: "" });
    expect(beside()).toHaveLength(1);
    expect(await sh("@t0", look)).toBe(views[0]);
    expect(await sh("@s0", "cat /own /etc/replaced /etc/deleted; echo /added*")).toBe(
      "own\ngeneration 0\nchanged\nthere\n/added*\n",
    );
    expect(await sh("@s0", "cat /etc/elsewhere/file")).toBe("inside\n");
    expect(await sh("c", look)).toBe(views[1]);
    // What was never looked at, and is now copied up from the old root.
    expect(await sh("@t0", "echo more >> /etc/deleted; cat /etc/deleted")).toBe("there\nmore\n");
    const status = await ok("diff", "@t0", "--name-status");
    expect(status).toBe("M\t/etc/deleted\n");
    expect(await ok("diff", "@s0", "--name-status")).toContain("/own\n");
  });

  test("leaves each generation to its own sessions, and the last one of each takes it away", async () => {
    await ok("begin", "c", "--name", "a0");
    expect(await update(change(1))).toMatchObject({ status: 0, stderr: "" });
    await ok("begin", "c", "--name", "a1");
    await ok("begin", "c", "--name", "b1");
    expect(await update(change(2))).toMatchObject({ status: 0, stderr: "" });
    await ok("begin", "c", "--name", "a2");
    expect(beside()).toHaveLength(2);
    const check = async (): Promise<void> => {
      expect(await sh("@a0", look)).toBe(views[0]);
      for (const id of ["@a1", "@b1"]) expect(await sh(id, look)).toBe(views[1]);
      for (const id of ["@a2", "c"]) expect(await sh(id, look)).toBe(views[2]);
    };
    await check();
    restart();
    expect(JSON.parse(await ok("recover", "--json"))).toMatchObject({ lost: [], removed: [] });
    await check();
    expect(await ok("recover")).not.toContain("removed");
    expect(beside()).toHaveLength(2);
    await ok("end", "b1");
    expect(beside()).toHaveLength(2);
    await ok("end", "a0");
    expect(beside()).toHaveLength(1);
    expect(await sh("@a1", look)).toBe(views[1]);
    await ok("end", "a1");
    expect(beside()).toEqual([]);
    expect(await sh("@a2", look)).toBe(views[2]);
  });

  test("leaves forks over what they were forked over", async () => {
    await ok("begin", "c", "--name", "s");
    await sh("@s", "echo one > /own");
    await ok("fork", "@s", "--name", "f");
    expect(await update(change(1))).toMatchObject({ status: 0, stderr: "" });
    await sh("@s", "echo two >> /own");
    await ok("fork", "@s", "--name", "g");
    await ok("end", "s");
    expect(beside()).toHaveLength(1);
    expect(await sh("@f", `cat /own; ${look}`)).toBe(`one\n${views[0]}`);
    restart();
    expect(JSON.parse(await ok("recover", "--json"))).toMatchObject({ lost: [] });
    expect(await sh("@g", `cat /own; ${look}`)).toBe(`one\ntwo\n${views[0]}`);
    await ok("end", "f");
    expect(beside()).toHaveLength(1);
    await ok("end", "g");
    expect(beside()).toEqual([]);
  });

  test("says so in info and list", async () => {
    await ok("begin", "c", "--name", "s");
    expect(await ok("list")).not.toContain(" ROOT");
    await update(change(1));
    await ok("begin", "c", "--name", "t");
    expect(await ok("info", "@s")).toContain("this session keeps what it was");
    expect(await ok("info", "@t")).not.toContain("keeps");
    expect(await ok("list")).toMatch(/^SESSION .* ROOT\ns .* updated \S+ ago\nt .* -\n$/);
    const { sessions } = JSON.parse(await ok("list", "--json")) as { sessions: { rootReplacedMs?: number }[] };
    expect(sessions.map(({ rootReplacedMs }) => typeof rootReplacedMs)).toEqual(["number", "undefined"]);
  });

  test("a session over the old root can't be committed to the new one, unless that is named", async () => {
    await ok("begin", "c", "--name", "s");
    await sh("@s", "echo own > /own");
    await update(change(1));
    const refused = await fallthru(["commit", "@s"]);
    if (isImage) return expect(refused).toMatchObject({ status: 7 });
    expect(refused.status).toBe(11);
    expect(refused.stderr).toBe(
      `fallthru: ${root} was updated since session s began, which lies over what it was\nhint: take its changes over to what it is now: fallthru commit @s --to c\n`,
    );
    expect(await ok("diff", "@s", "--name-status")).toBe("A\t/own\n");
    await ok("commit", "@s", "--to", "c");
    expect(await sh("c", `cat /own; ${look}`)).toBe(`own\n${views[1]}`);
    expect(await sh("@s", look)).toBe(views[0]);
    await ok("undo");
    expect(await sh("c", `test ! -e /own && ${look}`)).toBe(views[1]);
  });

  test("a session that changes the root itself keeps it from being updated", async () => {
    await ok("begin", "source:c", "--name", "src");
    const refused = await update("echo no > /no");
    expect(refused.status).toBe(125);
    expect(refused.stderr).toContain("fallthru end @src");
    expect(await sh("@src", look)).toBe(views[0]);
    await ok("end", "src");
    // And where it begins while the update is on its way.
    const child = startFallthru(["chroot", "update", "c", "--", "sh", "-c", "echo up; read x; echo no > /no"]);
    await new Promise((up) => child.stdout?.once("data", up));
    await ok("begin", "source:c", "--name", "src");
    const closed = new Promise((done) => child.once("exit", done));
    child.stdin?.end("\n");
    expect(await closed).toBe(125);
    expect(await sh("@src", `test ! -e /no && ${look}`)).toBe(views[0]);
  });

  test("one update of it at a time", async () => {
    const child = startFallthru(["chroot", "update", "c", "--", "sh", "-c", `echo up; read x; ${change(1)}`]);
    await new Promise((up) => child.stdout?.once("data", up));
    const refused = await update(change(2));
    expect(refused).toMatchObject({
      status: 125,
      stderr: expect.stringContaining("is being updated already") as string,
    });
    const closed = new Promise((done) => child.once("exit", done));
    child.stdin?.end("\n");
    expect(await closed).toBe(0);
    expect(await sh("c", look)).toBe(views[1]);
  });
});

test("what is committed to a root while it is updated isn't lost: the update is refused", async () => {
  makeDirectory();
  await ok("begin", "c", "--name", "s");
  await sh("@s", "echo own > /own");
  const child = startFallthru(["chroot", "update", "c", "--", "sh", "-c", `echo up; read x; ${change(1)}`]);
  await new Promise((up) => child.stdout?.once("data", up));
  await ok("commit", "@s");
  const closed = new Promise((done) => child.once("exit", done));
  child.stdin?.end("\n");
  expect(await closed).toBe(125);
  expect(await sh("c", `cat /own; ${look}`)).toBe(`own\n${views[0]}`);
  const { commits } = JSON.parse(await ok("log", "--json")) as { commits: { commit: string }[] };
  for (const { commit } of commits) await fallthru(["log", "--forget", commit]);
});

test("a root that sessions have as a further lower, or by a link, is kept for them", async () => {
  makeDirectory();
  const link = `${temporaryDirectory("link")}/link`;
  symlinkSync(root, link);
  const other = temporaryDirectory("other");
  execFileSync("cp", ["-a", `${tree}/.`, other]);
  describeChroot("other", other, ["profile=minimal", `fallthru.lower=${root}`]);
  describeChroot("linked", link, ["profile=minimal"]);
  for (const name of ["other", "linked"]) await ok("begin", name, "--name", name);
  expect(await update(change(1))).toMatchObject({ status: 0, stderr: "" });
  for (const name of ["other", "linked"]) expect(await sh(`@${name}`, look)).toBe(views[0]);
  restart();
  expect(JSON.parse(await ok("recover", "--json"))).toMatchObject({ lost: [] });
  for (const name of ["other", "linked"]) {
    expect(await sh(`@${name}`, look)).toBe(views[0]);
    expect(await sh(name, look)).toContain("generation 1\n");
  }
  for (const name of ["other", "linked"]) await ok("end", name);
});

test("an automatic session's root stays until its command has ended", async () => {
  makeDirectory();
  const child = startFallthru(["run", "c", "--", "sh", "-c", `echo up; read x; ${look}`]);
  await new Promise((up) => child.stdout?.once("data", up));
  let output = "";
  child.stdout?.on("data", (data: Buffer) => (output += data.toString()));
  expect(await update(change(1))).toMatchObject({ status: 0, stderr: "" });
  expect(beside()).toHaveLength(1);
  const closed = new Promise((done) => child.once("close", done));
  child.stdin?.end("\n");
  expect(await closed).toBe(0);
  expect(output).toBe(views[0]);
  expect(beside()).toEqual([]);
});

test("a server of our own union that is killed goes on with the old root", async () => {
  makeDirectory(["union-type=fallthru"]);
  await ok("begin", "c", "--name", "s");
  await update(change(1));
  const [server, ...others] = processesIn().filter((id) => commandOf(id) === `${executable}\0serve\0`);
  expect(others).toEqual([]);
  process.kill(server ?? Number.NaN, "SIGKILL");
  expect(await sh("@s", look)).toBe(views[0]);
});

function commandOf(id: number): string {
  try {
    return readFileSync(`/proc/${id}/cmdline`, "utf8");
  } catch {
    return ""; // it has just ended
  }
}

test("schroot's sessions go on too: schroot -r, --recover-session, -e, and the file that other programs read", async () => {
  makeDirectory(["union-type=overlay"]);
  const schroot = `${temporaryDirectory("bin")}/schroot`;
  symlinkSync(executable, schroot);
  const said = async (...args: string[]): Promise<string> => {
    const result = await run([schroot, ...args]);
    expect({ args, ...result }).toMatchObject({ args, status: 0, stderr: "" });
    return result.stdout;
  };
  expect(await said("-b", "-c", "c", "-n", "s")).toBe("s\n");
  const file = readFileSync("/var/lib/schroot/session/s", "utf8");
  expect(await update(change(1))).toMatchObject({ status: 0, stderr: "" });
  const view = () => said("-r", "-c", "s", "-d", "/", "--", "sh", "-c", look);
  expect(await view()).toBe(views[0]);
  expect(readFileSync("/var/lib/schroot/session/s", "utf8")).toBe(file);
  restart();
  await said("--recover-session", "-c", "s");
  expect(await view()).toBe(views[0]);
  expect(await said("-c", "c", "-d", "/", "--", "sh", "-c", look)).toBe(views[1]);
  expect(await said("-l", "--all-sessions")).toBe("session:s\n");
  await said("-e", "-c", "s");
  expect(beside()).toEqual([]);
});

test("a session that an older Fallthru has begun, which noted no inode, keeps its root from being updated", async () => {
  makeDirectory();
  await ok("begin", "c", "--name", "s");
  const path = "/var/lib/fallthru/sessions/s/record.json";
  const [first = "", second = ""] = readFileSync(path, "utf8").split("\n");
  const { roots, ...older } = JSON.parse(second) as { roots: Record<string, string> };
  expect(Object.keys(roots)).toEqual([root]);
  writeFileSync(path, `${first}\n${JSON.stringify(older)}\n`);
  const refused = await update("true");
  expect(refused).toMatchObject({ status: 125, stderr: expect.stringContaining("fallthru end @s") as string });
});

test("a root that can't be deleted is told of, and goes when it can be", async () => {
  makeDirectory();
  await ok("begin", "c", "--name", "s");
  await update(change(1));
  const [old = ""] = beside();
  const place = join(dirname(root), old, "mnt");
  execFileSync("mount", ["-t", "tmpfs", "none", place]);
  const ended = await fallthru(["end", "s"]);
  const again = await fallthru(["recover"]);
  execFileSync("umount", [place]);
  expect(ended).toMatchObject({ status: 0, stderr: expect.stringContaining(place) as string });
  expect(again.stdout + again.stderr).toContain(place);
  await ok("gc");
  expect(beside()).toEqual([]);
});

test("a user's own chroots, without root, are updated under their sessions as well", async () => {
  makeDirectory();
  const anna = someone();
  try {
    const tiny = await giveTinyRoot(anna);
    const said = async (...args: string[]): Promise<string> => {
      const result = await anna.fallthru(args);
      expect({ args, ...result }).toMatchObject({ args, status: 0, stderr: "" });
      return result.stdout;
    };
    await said("begin", "tiny", "--name", "s");
    await said("chroot", "update", "tiny", "--", "sh", "-c", "echo new > /new");
    expect(await said("run", "@s", "--", "ls", "/")).not.toContain("new\n");
    expect(await said("run", "tiny", "--", "ls", "/")).toContain("new\n");
    await said("end", "s");
    expect(readdirSync(anna.home).filter((name) => name.includes("tiny"))).toEqual([basename(tiny)]);
  } finally {
    anna.leave();
  }
});

test("a root below which something is mounted, or that is a mount point, is refused before anything is done", async () => {
  makeDirectory();
  execFileSync("mount", ["-t", "tmpfs", "none", join(root, "mnt")]);
  const below = await update("true");
  execFileSync("umount", [join(root, "mnt")]);
  expect(below).toMatchObject({ status: 125, stderr: expect.stringContaining(`umount ${root}/mnt`) as string });
  execFileSync("mount", ["--bind", root, root]);
  const point = await update("true");
  execFileSync("umount", [root]);
  expect(point).toMatchObject({ status: 125, stderr: expect.stringContaining("is a mount point") as string });
});
