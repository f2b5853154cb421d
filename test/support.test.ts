// What the other tests stand on.
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { describeChroot } from "./support/directories.ts";
import { executable, fallthru, run, startFallthru } from "./support/fallthru.ts";
import { leftovers, traces } from "./support/leftovers.ts";
import { debianRoot, tinyRoot } from "./support/roots.ts";
import { Terminal } from "./support/terminal.ts";

test("tinyRoot() is a root that programs run in", async () => {
  const root = tinyRoot();
  const result = await run(["chroot", "--userspec=user", root, "sh", "-c", "id -un; ls -d /tmp; cat"], { input: "in" });
  expect(result).toEqual({ status: 0, signal: null, stdout: "user\n/tmp\nin", stderr: "" });
});

test("debianRoot() is made once", async () => {
  const root = await debianRoot();
  expect(await debianRoot()).toBe(root);
  expect(existsSync(`${root}/etc/debian_version`)).toBe(true);
});

test("run() tells status, signal and a timeout", async () => {
  expect(await run(["sh", "-c", "echo a; echo b >&2; exit 3"])).toEqual({
    status: 3,
    signal: null,
    stdout: "a\n",
    stderr: "b\n",
  });
  expect((await run(["sleep", "100"], { timeoutMs: 50 })).signal).toBe("SIGKILL");
});

test("Terminal gives a program a controlling terminal, keys, signals and a size", async () => {
  const terminal = new Terminal(["bash", "--norc"], { env: { PS1: "> " }, size: { columns: 100, rows: 30 } });
  await terminal.until("> ");
  terminal.type("stty size; tty\r");
  await terminal.until("\r\n30 100\r\n/dev/pts/");
  terminal.resize({ columns: 90, rows: 20 });
  terminal.type("sh -c 'stty size; exec sleep 100'\r");
  await terminal.until("\n20 90\r\n");
  terminal.type("\x1a"); // Ctrl-Z
  await terminal.until(/Stopped[^]*> /);
  terminal.type("fg\r");
  await terminal.until("sleep 100'\r\n");
  terminal.type("\x03");
  await terminal.until("> ");
  terminal.type("exit 7\r");
  expect(await terminal.ended).toEqual({ status: 7, signal: null });
});

test("Terminal.hangUp() ends what runs on it", async () => {
  const terminal = new Terminal(["sh", "-c", "echo up; exec sleep 100"]);
  await terminal.until("up");
  terminal.hangUp();
  expect(await terminal.ended).toEqual({ status: null, signal: "SIGHUP" });
});

test("leftovers() names what an open session consists of, and nothing after its end", async () => {
  describeChroot("tiny", tinyRoot());
  const before = traces();
  expect(await fallthru(["begin", "tiny", "--name", "open"])).toMatchObject({ status: 0, stderr: "" });
  expect(leftovers(before).map((trace) => trace.replace(/ [0-9]+:/, ""))).toEqual(
    expect.arrayContaining([
      "mount overlay on /run/fallthru/mount/open/open",
      "record /var/lib/fallthru/sessions/open",
      "directory /run/fallthru/mount/open",
    ]),
  );
  expect(await fallthru(["end", "@open"])).toMatchObject({ status: 0, stderr: "" });
  expect(leftovers(before)).toEqual([]);
});

test("startFallthru() hands over the program that was built", async () => {
  const child = startFallthru(["--version"]);
  expect(child.spawnfile).toBe(executable);
  expect(await new Promise((done) => child.on("exit", done))).toBe(0);
});
