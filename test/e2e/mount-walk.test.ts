// Walking over a tree once more, and making files: what the kernel asks the server, by how often that reads from /dev/fuse.
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { processesIn } from "../support/cgroup.ts";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";

const [directories, files] = [4, 60];

async function mount(): Promise<string> {
  const directory = temporaryDirectory("union");
  for (const name of ["lower", "upper", "work", "target"]) mkdirSync(join(directory, name));
  for (let at = 0; at < directories; at++) {
    mkdirSync(join(directory, `lower/dir${at}`));
    for (let file = 0; file < files; file++) {
      const path = join(directory, `lower/dir${at}/f${file}`);
      writeFileSync(path, `${file}\n`);
      utimesSync(path, 1, 2);
    }
  }
  const options = `lowerdir=${directory}/lower,upperdir=${directory}/upper,workdir=${directory}/work,passthrough=off`;
  const target = join(directory, "target");
  expect(await fallthru(["mount", "-o", options, target])).toMatchObject({ status: 0, stderr: "" });
  return target;
}

/** How many read(2)s the server of this test file's mount has made. */
function readsOfServer(): number {
  const id = processesIn().find((id) => readFileSync(`/proc/${id}/cmdline`, "utf8") === `${executable}\0serve\0`);
  return Number(/^syscr: (\d+)$/m.exec(readFileSync(`/proc/${id}/io`, "utf8"))?.[1]);
}

async function shell(target: string, script: string): Promise<string> {
  const { status, stdout, stderr } = await run(["sh", "-euc", `cd '${target}'; ${script}`], { timeoutMs: 60_000 });
  expect([status, stderr]).toEqual([0, ""]);
  return stdout;
}

/** Reads all files, then lists them with their access times. @returns how many requests the second took */
async function walkTwice(): Promise<number> {
  const target = await mount();
  const seen = await shell(target, "ls -f dir*; cat dir*/* >/dev/null");
  const before = readsOfServer();
  const times = await shell(target, "find . -type f -printf '%A@\\n'");
  const requests = readsOfServer() - before;
  // When they were read, not what the kernel knew before.
  expect(
    times
      .trim()
      .split("\n")
      .map(Number)
      .filter((time) => time < 2),
  ).toEqual([]);
  expect(await shell(target, "ls -f dir*")).toBe(seen);
  expect(await run(["umount", target])).toMatchObject({ status: 0, stderr: "" });
  return requests;
}

test("what was read is listed with its attributes anew by a few requests, in the same order", async () => {
  let fewest = Infinity;
  // Something else may have the kernel drop its caches meanwhile.
  for (let attempt = 0; attempt < 5 && fewest >= 60; attempt++) fewest = Math.min(fewest, await walkTwice());
  expect(fewest).toBeLessThan(60);
});

/** Makes and fills files. @returns how many requests that took */
async function makeFiles(count: number): Promise<number> {
  const target = await mount();
  // The first open tells the kernel that nothing is to be told of closing.
  await shell(target, "mkdir new; echo first >new/0; cat new/0");
  const before = readsOfServer();
  await shell(target, `for at in $(seq ${count}); do echo $at >new/$at; done`);
  const requests = readsOfServer() - before;
  expect(await shell(target, "cat new/* | sort -n | tail -n 1; ls new | wc -l")).toBe(`${count}\n${count + 1}\n`);
  expect(await run(["umount", target])).toMatchObject({ status: 0, stderr: "" });
  return requests;
}

test("making a file and writing to it takes five requests, and closing it none", async () => {
  let fewest = Infinity;
  // GETATTR of the directory, LOOKUP, CREATE, GETXATTR of security.capability, WRITE.
  for (let attempt = 0; attempt < 5 && fewest >= 520; attempt++) fewest = Math.min(fewest, await makeFiles(100));
  expect(fewest).toBeLessThan(520);
});
