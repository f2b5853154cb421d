import { afterAll, beforeAll, expect, test } from "bun:test";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { appendFileSync, copyFileSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, run } from "../support/fallthru.ts";
import { tinyRoot } from "../support/roots.ts";
import { childrenOf, isAlive } from "../support/service.ts";
import { Terminal } from "../support/terminal.ts";

// Two people of this test's own, in this mount name space's own /etc: bert has a password.

const directory = temporaryDirectory("bin");
const schroot = join(directory, "schroot");
const anna = ["setpriv", "--reuid=3001", "--regid=3001", "--init-groups", "--"];
let service: ChildProcess;

function layOver(file: string, lines: string): void {
  const copy = join(directory, file);
  copyFileSync(`/etc/${file}`, copy);
  execFileSync("chmod", [`--reference=/etc/${file}`, copy]);
  execFileSync("chown", [`--reference=/etc/${file}`, copy]);
  appendFileSync(copy, lines);
  execFileSync("mount", ["--bind", copy, `/etc/${file}`]);
}

beforeAll(async () => {
  execFileSync("chmod", ["755", directory]);
  symlinkSync(executable, schroot);
  const hash = execFileSync("perl", ["-e", 'print crypt("secret", q($6$abcdefgh$))'], { encoding: "utf8" });
  layOver("passwd", "anna:x:3001:3001::/:/bin/sh\nbert:x:3002:3002::/:/bin/sh\n");
  layOver("group", "anna:x:3001:\nbert:x:3002:\n");
  layOver("shadow", `anna:!:20000::::::\nbert:${hash}:20000::::::\n`);
  mkdirSync("/run/fallthrud", { recursive: true });
  execFileSync("mount", ["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run/fallthrud"]);
  describeChroot("tiny", tinyRoot(), ["users=anna", "profile=minimal"]);
  service = spawn(executable, ["daemon", "--foreground"], { stdio: ["ignore", "inherit", "inherit"] });
  while ((await run([...anna, schroot, "-l"], { directory: "/" })).status !== 0) await sleep(20);
});

afterAll(async () => {
  const left = [service.pid ?? 0, ...childrenOf(service.pid ?? 0)];
  service.kill("SIGKILL");
  while (left.some(isAlive)) await sleep(10);
  for (const path of ["/etc/passwd", "/etc/group", "/etc/shadow", "/run/fallthrud"]) execFileSync("umount", [path]);
});

const words = ["-c", "tiny", "-d", "/", "-u", "bert", "--", "sh", "-c", "id -u; echo $SCHROOT_USER"];

test("who knows another user's password may be that user", async () => {
  const terminal = new Terminal([...anna, schroot, ...words], { directory: "/" });
  expect(await terminal.until("Password: ")).not.toContain("3002");
  terminal.type("secret\n");
  expect(await terminal.until("anna\r\n")).toEndWith("3002\r\nanna\r\n");
  expect(await terminal.ended).toEqual({ status: 0, signal: null });
  expect(terminal.output).not.toContain("secret");
  terminal.hangUp();
});

test("who doesn't is refused", async () => {
  const terminal = new Terminal([...anna, schroot, ...words], { directory: "/" });
  await terminal.until("Password: ");
  terminal.type("wrong\n");
  await terminal.until("E: Authentication failed: Authentication failure\r\n");
  expect(await terminal.ended).toEqual({ status: 1, signal: null });
  expect(terminal.output).not.toContain("3002");
  terminal.hangUp();
});

test("who has no terminal is refused, whatever is on standard input", async () => {
  const refused = await run([...anna, schroot, ...words], { directory: "/", input: "secret\n" });
  expect(refused).toMatchObject({ status: 1, stdout: "" });
  expect(refused.stderr).toBe("E: No controlling terminal\nE: Authentication failed: Authentication failure\n");
});

test("a client that is ended at the prompt is let in nowhere", async () => {
  const terminal = new Terminal([...anna, schroot, ...words], { directory: "/" });
  await terminal.until("Password: ");
  terminal.type("\x03");
  const { status } = await terminal.ended;
  expect(status).not.toBe(0);
  expect(terminal.output).not.toContain("3002");
  terminal.hangUp();
});
