import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { findScripts, setupDirectory } from "./scripts.ts";

const kept = "/run/fallthru/scripts.json";
const own = async () => (await findScripts()).own;

beforeAll(() => {
  mkdirSync("/run/fallthru", { recursive: true });
  execFileSync("mount", ["-t", "tmpfs", "fallthru", "/run/fallthru"]);
  rmSync(setupDirectory, { recursive: true, force: true });
  mkdirSync(setupDirectory, { recursive: true });
  writeFileSync(`${setupDirectory}/50mine`, "#!/bin/sh\n", { mode: 0o755 });
});

afterAll(() => {
  execFileSync("umount", ["/run/fallthru"]);
});

test("what was found is kept until a script, or the program, is another one", async () => {
  await sleep(2100); // what was changed just now isn't kept
  const execPath = process.execPath;
  try {
    expect(await own()).toEqual(["50mine"]);
    writeFileSync(kept, readFileSync(kept, "utf8").replace('"own":["50mine"]', '"own":["50kept"]'));
    expect(await own()).toEqual(["50kept"]);
    process.execPath = "/bin/true";
    expect(await own()).toEqual(["50mine"]);
    process.execPath = execPath;
    expect(await own()).toEqual(["50mine"]);
    writeFileSync(`${setupDirectory}/60more`, "#!/bin/sh\n", { mode: 0o755 });
    expect(await own()).toEqual(["50mine", "60more"]);
  } finally {
    process.execPath = execPath;
  }
});
