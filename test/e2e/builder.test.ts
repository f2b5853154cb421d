// A session that sbuild has begun, when that is gone: here a script of the name, which the kernel has it by.
import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";
import { leftoversAfter, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";

const directory = temporaryDirectory("bin");
symlinkSync(executable, join(directory, "schroot"));
describeChroot("tiny", tinyRoot(), ["profile=minimal"]);
const before = traces();

/** What `schroot -b OPTIONS` begins for a program of this name that ends by these lines. @returns its id */
async function begin(name: string, end: string, options = ""): Promise<string> {
  const program = join(directory, name);
  const script = `#!/bin/sh
    id=$(${directory}/schroot -b -c tiny ${options}); echo $id
    ${directory}/schroot -r -c $id -d / -- sh -c 'mknod /dev/null c 1 3; sleep 1000 >/dev/null 2>&1 &'
    ${end}`;
  writeFileSync(program, script, { mode: 0o755 });
  return (await run([program])).stdout.trim();
}

const isWatch = (trace: string) => trace.includes("session-watch");
const sessions = async () => (await fallthru(["list", "--json"])).stdout.replaceAll(/\s/g, "");

test.each(["TERM", "KILL"])(
  "what it has begun ends with it and what runs there where SIG%s ends it",
  async (signal) => {
    const id = await begin("sbuild", `kill -${signal} $$`);
    expect(id).toMatch(/^tiny-/);
    expect(await leftoversAfter(before)).toEqual([]);
    expect(await sessions()).toBe('{"sessions":[]}');
  },
);

test("who has very many builds has some that aren't watched", async () => {
  const others = Array.from({ length: 64 }, () =>
    spawn("perl", ["-e", "sleep 1000", "session-watch", "--", "x", "1", "0"]),
  );
  const id = await begin("sbuild", "kill -9 $$");
  const ended = others.map((each) => new Promise((done) => each.once("exit", done)));
  for (const each of others) each.kill();
  await Promise.all(ended);
  expect(await sessions()).toContain(`"id":"${id}"`);
  expect(await fallthru(["end", "--force", id])).toMatchObject({ status: 0 });
  expect(await leftoversAfter(before)).toEqual([]);
});

test.each([
  ["sbuild", "exit 1", ""],
  ["sbuild", "kill -9 $$", "-n mine"],
  ["other", "kill -9 $$", ""],
])("%s: %s: what schroot -b %s has begun stays", async (name, end, options) => {
  const id = await begin(name, end, options);
  // Whoever would end it has ended by then.
  expect(await leftoversAfter(before, isWatch)).toEqual([]);
  expect(await sessions()).toContain(`"id":"${id}"`);
  expect(await fallthru(["end", "--force", id])).toMatchObject({ status: 0 });
  expect(await leftoversAfter(before)).toEqual([]);
});
