import { beforeAll, describe, expect, test } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describeChroot, temporaryDirectory } from "../../../../test/support/directories.ts";
import { run } from "../../../../test/support/fallthru.ts";
import { tinyRoot } from "../../../../test/support/roots.ts";
import { craftArchive } from "../../../../test/support/tarball.ts";
import { Terminal } from "../../../../test/support/terminal.ts";

const program = [process.execPath, resolve(import.meta.dirname, "../../main.ts")];
const cli = (...words: readonly string[]) => run([...program, ...words], { directory: folder });

const folder = temporaryDirectory("chroot-verbs");
const chroots = "/var/lib/fallthru/chroots";
const roots = () => (existsSync(chroots) ? readdirSync(chroots) : []);
const descriptions = () => readdirSync("/etc/schroot/chroot.d");

beforeAll(() => {
  execFileSync("tar", ["-C", tinyRoot(), "-czf", join(folder, "tiny.tar.gz"), "."]);
});

describe("chroot import", () => {
  test("makes a chroot that a session runs in, and says how far it is, line by line", async () => {
    const made = await cli("chroot", "import", "tiny", "tiny.tar.gz");
    expect(made).toMatchObject({ status: 0, stdout: `imported tiny, its root is ${chroots}/tiny\n` });
    expect(made.stderr).toStartWith("fallthru: unpack the archive\nfallthru: ");
    expect(made.stderr).not.toContain("\u001b");
    expect(await cli("run", "tiny", "--", "true")).toMatchObject({ status: 0, stderr: "" });
    expect((await cli("info", "tiny")).stdout).toContain(`imported from tiny.tar.gz\n`);
  });

  test("takes standard input for -", async () => {
    const input = readFileSync(join(folder, "tiny.tar.gz"));
    const made = await run([...program, "chroot", "import", "given", "-"], { input });
    expect(made).toMatchObject({ status: 0, stdout: `imported given, its root is ${chroots}/given\n` });
    expect((await cli("info", "given")).stdout).toContain("imported from standard input\n");
    const damaged = await run([...program, "chroot", "import", "none", "-"], { input: input.subarray(0, 9000) });
    expect(damaged).toMatchObject({ status: 9, stderr: expect.stringContaining("standard input") });
    expect((await cli("chroot", "remove", "given")).status).toBe(0);
  });

  test("refuses a name that is taken", async () => {
    const { status, stderr } = await cli("chroot", "import", "tiny", "tiny.tar.gz");
    expect({ status, roots: roots() }).toEqual({ status: 5, roots: ["tiny"] });
    expect(stderr).toStartWith("fallthru: tiny is a chroot already, described at /etc/schroot/chroot.d/tiny.conf:1\n");
  });

  test.each(["--quiet", "--json"])("is silent on the way with %s", async (option) => {
    const { status, stdout, stderr } = await cli("chroot", "import", "silent", "tiny.tar.gz", option);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    if (option === "--json")
      expect(JSON.parse(stdout)).toMatchObject({ name: "silent", directory: `${chroots}/silent` });
    else expect(stdout).toBe("");
    expect((await cli("chroot", "remove", "silent")).status).toBe(0);
  });

  test("draws a bar on a terminal, and takes it away", async () => {
    const terminal = new Terminal([...program, "chroot", "import", "drawn", "tiny.tar.gz"], {
      directory: folder,
      env: { TERM: "xterm" },
    });
    expect(await terminal.ended).toMatchObject({ status: 0 });
    const shown = await terminal.until("imported drawn");
    expect(shown).toContain("\r\u001b[K[");
    expect(shown).toMatch(/\[#*-*\] +\d+% unpack the archive/);
    expect(shown).toEndWith("\r\u001b[Kimported drawn");
    expect((await cli("chroot", "remove", "drawn")).status).toBe(0);
  });

  test("names the entry that would land outside, and leaves nothing", async () => {
    writeFileSync(join(folder, "hostile.tar"), craftArchive({ name: "../evil", body: "x" }));
    const { status, stdout, stderr } = await cli("chroot", "import", "hostile", "hostile.tar", "-q");
    expect({ status, stdout, roots: roots() }).toEqual({ status: 9, stdout: "", roots: ["tiny"] });
    expect(stderr).toContain("../evil");
    expect(descriptions()).toEqual(["tiny.conf"]);
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)("stopped by %s it leaves nothing", async (signal, expected) => {
    execFileSync("mkfifo", [join(folder, signal)]);
    const [first = "", ...rest] = program;
    const child = spawn(first, [...rest, "chroot", "import", "stopped", signal], { cwd: folder, stdio: "pipe" });
    const writer = spawn("sh", ["-c", `exec 3>${signal}; head -c 100 /dev/zero >&3; sleep 1000`], {
      cwd: folder,
      detached: true,
    });
    while (!roots().some((name) => name.startsWith(".stopped"))) await new Promise((done) => setTimeout(done, 10));
    const ended = new Promise((done) => child.on("exit", done));
    let said = "";
    child.stderr.on("data", (data: Buffer) => (said += data.toString()));
    child.kill(signal);
    // A read of a pipe that nobody writes to can't be called back: it ends with its writer.
    setTimeout(() => process.kill(-(writer.pid ?? 0), "SIGKILL"), 200);
    expect(await ended).toBe(expected);
    expect(said).toEndWith(`fallthru: ${signal}: the chroot stopped is not made, nothing of it is left\n`);
    expect({ roots: roots(), descriptions: descriptions() }).toEqual({ roots: ["tiny"], descriptions: ["tiny.conf"] });
  });
});

describe("chroot add, list and remove", () => {
  test("a directory that was added stays when its chroot is removed", async () => {
    mkdirSync(join(folder, "mine"));
    const added = await cli("chroot", "add", "mine", "mine", "--description", "my own");
    expect(added).toMatchObject({
      status: 0,
      stdout: "added mine, described in /etc/schroot/chroot.d/mine.conf\n",
      stderr: "",
    });
    const { stdout } = await cli("chroot", "list");
    expect(stdout).toMatch(/^CHROOT +TYPE +ROOT +DESCRIPTION\nmine +directory +\/.*\/mine +my own\ntiny +directory /);
    const removed = await cli("chroot", "remove", "mine");
    expect(removed).toMatchObject({ status: 0, stdout: "removed mine: /etc/schroot/chroot.d/mine.conf\n", stderr: "" });
    expect(existsSync(join(folder, "mine"))).toBe(true);
  });

  test("add wants a directory that is there", async () => {
    expect(await cli("chroot", "add", "gone", "nowhere")).toMatchObject({
      status: 3,
      stderr: expect.stringMatching(/^fallthru: no directory \/.*\/nowhere\n/),
    });
    // As an unset variable of a script's is; it doesn't mean where one is.
    expect(await cli("chroot", "add", "gone", "")).toMatchObject({
      status: 2,
      stderr: "fallthru: DIRECTORY is empty\n",
    });
  });

  test("list says what is wrong, and lists the others", async () => {
    describeChroot("wrong", "/srv", ["colour"]);
    describeChroot("odd", "/srv", ["colour=red"]);
    const { status, stdout, stderr } = await cli("chroot", "list");
    expect(status).toBe(6);
    expect(stdout).toMatch(/^CHROOT .*\nodd .*\ntiny [^\n]*\n$/);
    expect(stderr).toMatch(/^fallthru: warning: \/etc\/schroot\/chroot.d\/odd.conf:4: .*"colour"\n/);
    expect(stderr).toMatch(/^fallthru: \/etc\/schroot\/chroot.d\/wrong.conf:4: .*colour/m);
    expect((await cli("chroot", "remove", "odd")).status).toBe(0);
    expect((await cli("chroot", "remove", "wrong")).status).toBe(0);
  });

  test("a chroot that sessions are views of can't be removed", async () => {
    expect((await cli("begin", "tiny", "-n", "view")).status).toBe(0);
    const { status, stderr } = await cli("chroot", "remove", "tiny");
    expect({ status, stderr }).toEqual({
      status: 4,
      stderr: "fallthru: a session is a view of tiny\nhint: end it first: fallthru end @view\n",
    });
    expect((await cli("end", "view")).stdout).toBe("ended view\n");
  });

  test("remove with --keep-root leaves the root, and without it takes one that nothing describes", async () => {
    expect((await cli("chroot", "remove", "tiny", "--keep-root")).stdout).toBe(
      "removed tiny: /etc/schroot/chroot.d/tiny.conf\n",
    );
    expect(roots()).toEqual(["tiny"]);
    expect((await cli("chroot", "remove", "tiny")).stdout).toBe(`removed tiny: ${chroots}/tiny\n`);
    expect({ roots: roots(), descriptions: descriptions() }).toEqual({ roots: [], descriptions: [] });
    expect((await cli("chroot", "remove", "tiny")).status).toBe(3);
  });
});
