import { afterAll, beforeAll, expect, test } from "bun:test";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryDirectory } from "../support/directories.ts";
import { as, nobody, Service } from "../support/service.ts";

/** Hears what syslog(3) would, in a /dev of this mount name space's own. */
let listener: ChildProcess;
let heard = "";

const program = `use Socket; $| = 1;
my ($socket, $line);
socket($socket, AF_UNIX, SOCK_DGRAM, 0) or die;
bind($socket, pack_sockaddr_un("/dev/log")) or die;
print "listening\\n";
while (defined recv($socket, $line, 65536, 0)) { print "$line\\n"; }`;

beforeAll(async () => {
  const dev = temporaryDirectory("dev");
  execFileSync("mount", ["-t", "tmpfs", "-o", "mode=755", "tmpfs", dev]);
  for (const [name, minor] of [
    ["null", 3],
    ["zero", 5],
    ["full", 7],
    ["urandom", 9],
  ] as const) {
    execFileSync("mknod", ["-m", "666", join(dev, name), "c", "1", String(minor)]);
  }
  mkdirSync(join(dev, "pts"));
  execFileSync("mount", ["--bind", "/dev/pts", join(dev, "pts")]);
  execFileSync("mount", ["--rbind", dev, "/dev"]);
  execFileSync("umount", ["--recursive", dev]);
  listener = spawn("perl", ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  listener.stdout?.on("data", (data: Buffer) => (heard += data.toString()));
  await until("listening");
});

afterAll(async () => {
  const ended = new Promise((done) => listener.on("exit", done));
  listener.kill();
  await ended;
  execFileSync("umount", ["--recursive", "--lazy", "/dev"]);
});

async function until(text: string): Promise<void> {
  while (!heard.includes(text)) {
    if (listener.exitCode !== null) throw new Error("nobody listens");
    await sleep(10);
  }
}

test("every request is logged: who asked for what before it is done, and what came of it", async () => {
  await using service = await new Service().start();
  await service.ask(as(nobody), ["run", "sh", "-c", "exit 5"]);
  await until("status 5");
  const lines = heard.split("\n").filter((line) => line.includes("nobody"));
  const head = /^<85>\w{3} [ \d]\d \d\d:\d\d:\d\d fallthrud\[\d+\]: nobody \(uid 65534, process \d+\): /;
  expect(lines.map((line) => line.replace(head, ""))).toEqual([
    "schroot run sh -c 'exit 5'",
    "status 5: schroot run sh -c 'exit 5'",
  ]);
});

test("who chooses the words can neither end the line nor fill the log", async () => {
  await using service = await new Service().start();
  await service.ask(as(nobody), [
    "say",
    "a\n<85>Jan  1 00:00:00 su: root\u001b[2J",
    "x".repeat(100_000),
    "status",
    "6",
  ]);
  await until("status 6: ");
  const lines = heard.split("\n").filter((line) => line.includes("su: root"));
  expect(lines.length).toBe(2);
  for (const line of lines) {
    expect(line).toContain(String.raw`'a\x0a<85>Jan`);
    expect(line.length).toBeLessThan(2000);
  }
});

test("what isn't a request is logged, too", async () => {
  await using service = await new Service().start();
  const { connect } = await import("node:net");
  await new Promise((done) => {
    const socket = connect(service.path, () => socket.write(Buffer.from([1, 0, 0, 0, 99])));
    socket.on("close", done).on("error", () => {});
  });
  await until("was cut off: a message of the unknown kind 99");
});
