// A union whose upper lies on a FAT file system: no attributes, devices, owners, modes or links.
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../support/directories.ts";
import { fallthru, run } from "../support/fallthru.ts";
import { unmountWhenFree } from "../support/unmount.ts";

const directory = temporaryDirectory("fat");
const [image, fat, lower, target] = ["image", "fat", "lower", "target"].map((name) => join(directory, name)) as [
  string,
  string,
  string,
  string,
];

/** The kernel's, else fusefat(1). */
function mounting(): string[] | undefined {
  const kernel = readFileSync("/proc/filesystems", "utf8").includes("\tvfat\n");
  if (kernel) return ["mount", "-t", "vfat", "-o", "loop", image, fat];
  return existsSync("/usr/bin/fusefat") ? ["fusefat", "-o", "rw+", image, fat] : undefined;
}

afterAll(async () => {
  await run(["umount", target]);
  if (mounting() !== undefined) await unmountWhenFree(fat);
});

async function inside(script: string): Promise<string> {
  const { status, stdout, stderr } = await run(["sh", "-euc", `cd '${target}'; ${script}`], { timeoutMs: 60_000 });
  if (status !== 0) throw new Error(`${script}: ${String(status)}: ${stderr}`);
  return stdout;
}

test.skipIf(mounting() === undefined)("an upper on FAT takes changes, and shows them when mounted again", async () => {
  for (const each of [fat, target, join(lower, "dir")]) mkdirSync(each, { recursive: true });
  for (const name of ["gone", "moved", "dir/file"]) writeFileSync(join(lower, name), name);
  symlinkSync("gone", join(lower, "link"));
  expect((await run(["truncate", "-s", "40M", image])).status).toBe(0);
  expect(await run(["mkfs.vfat", image])).toMatchObject({ status: 0 });
  expect((await run(mounting() ?? [])).status).toBe(0);
  mkdirSync(join(fat, "u"));
  const options = `lowerdir=${lower},upperdir=${join(fat, "u")}`;
  const script = "ls -A . dir link; cat new moved2 dir/file";
  expect(await fallthru(["mount", "-o", options, target])).toMatchObject({ status: 0, stdout: "", stderr: "" });
  await inside("rm gone; echo new >new; mv moved moved2; rm link; mkdir link; ! ln new hard");
  const seen = await inside(script);
  expect((await run(["umount", target])).status).toBe(0);
  expect(seen).toBe(".:\ndir\nlink\nmoved2\nnew\n\ndir:\nfile\n\nlink:\nnew\nmoveddir/file");
  const kept = [".wh..wh.aufs", ".wh.gone", ".wh.moved", "link", "moved2", "new"];
  expect(readdirSync(join(fat, "u")).filter((name) => name !== "dir")).toEqual(expect.arrayContaining(kept));
  expect(readdirSync(join(fat, "u/link"))).toEqual([".wh..wh..opq"]);
  expect(await fallthru(["mount", "-o", options, target])).toMatchObject({ status: 0, stdout: "", stderr: "" });
  expect(await inside(script)).toBe(seen);
});
