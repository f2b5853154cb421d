import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { chmodSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connectTo, listenAt } from "../../src/kernel/socket.ts";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru } from "../support/fallthru.ts";
import { childrenOf, isAlive } from "../support/service.ts";

const units = resolve(import.meta.dirname, "../../share/systemd");

test("the service takes the socket that systemd has opened, clients that wait there already included", async () => {
  const path = join(temporaryDirectory(), "socket");
  using listening = listenAt(path, 10);
  chmodSync(path, 0o666);
  using early = connectTo(path);
  expect(early.number).toBeGreaterThan(0);
  // LISTEN_PID is the process's own: the shell knows it before it becomes the service.
  const service = spawn("sh", ["-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" daemon', executable], {
    stdio: ["ignore", "inherit", "inherit", listening.number],
  });
  while (childrenOf(service.pid ?? 0).length === 0) await sleep(10);
  const workers = childrenOf(service.pid ?? 0);
  // Until it is the worker's own, what is there is the service's.
  while (!readFileSync(`/proc/${workers[0]}/cmdline`, "latin1").includes("daemon-worker")) await sleep(1);
  expect(readFileSync(`/proc/${workers[0]}/environ`, "latin1")).not.toContain("LISTEN");
  const ended = new Promise((done) => service.on("exit", (_, signal) => done(signal)));
  service.kill("SIGTERM");
  expect(await ended).toBe("SIGTERM");
  while (workers.some(isAlive)) await sleep(10);
});

test("daemon says what is missing where nobody has opened a socket", async () => {
  const { status, stderr } = await fallthru(["daemon"], { env: { LISTEN_PID: undefined, LISTEN_FDS: undefined } });
  expect(status).toBe(2);
  expect(stderr).toContain("fallthru daemon --foreground");
});

test("the units start what the client connects to", () => {
  const socket = readFileSync(join(units, "fallthrud.socket"), "utf8");
  const service = readFileSync(join(units, "fallthrud.service"), "utf8");
  expect(socket).toContain("ListenStream=/run/fallthrud/socket\n");
  expect(socket).toContain("SocketMode=0666\n");
  expect(service).toMatch(/^ExecStart=\/\S+\/fallthru daemon$/m);
  // A mount name space of the service's own would hide from it what it is to show.
  expect(service).not.toMatch(/^(PrivateMounts|PrivateTmp|ProtectSystem|ProtectHome|RootDirectory|ReadOnlyPaths)=/m);
});
