import { describe, expect, test } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { craftArchive, craftEntry } from "../../test/support/tarball.ts";
import { importRoot } from "./import.ts";
import { placeRoot } from "./place.ts";
import type { Progress } from "./progress.ts";

const directory = temporaryDirectory("store");
const archives = temporaryDirectory("archives");

const archive = craftArchive(
  { name: "./", type: "5", mode: 0o755 },
  { name: "./usr/sbin/", type: "5" },
  { name: "./etc/", type: "5" },
  { name: "./etc/os-release", body: "ID=small\n" },
  { name: "./etc/machine-id", body: "0123456789abcdef0123456789abcdef\n" },
  { name: "./big", body: Buffer.alloc(3_000_000, "big ") },
);

function archiveFile(name: string, content: Buffer = archive): string {
  writeFileSync(join(archives, name), content);
  return join(archives, name);
}

const problemOf = (name: string, file: string) =>
  importRoot(name, file, { directory }).then(
    () => "none",
    (error: unknown) => error,
  );

describe("importRoot()", () => {
  const plain = archiveFile("plain.tar");
  for (const [name, command] of Object.entries({
    plain: "cat",
    gzip: "gzip",
    xz: "xz",
    zstd: "zstd -q",
    bzip2: "bzip2",
  })) {
    test(`takes an archive that is ${name}, and makes it a chroot`, async () => {
      const file = join(archives, name);
      execFileSync("sh", ["-c", `${command} <${plain} >${file}`]);
      const heard: Progress[] = [];
      const path = await importRoot(name, file, { directory, onProgress: (progress) => heard.push(progress) });
      expect(path).toBe(`${directory}/${name}`);
      expect(readFileSync(`${path}/etc/os-release`, "utf8")).toBe("ID=small\n");
      expect(lstatSync(`${path}/big`).size).toBe(3_000_000);
      expect(lstatSync(`${path}/etc/machine-id`).size).toBe(0);
      expect(existsSync(`${path}/usr/sbin/policy-rc.d`)).toBe(true);
      const fractions = heard.map(({ fraction }) => fraction ?? Number.NaN);
      expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
      expect(fractions.at(-1)).toBe(1);
    });
  }

  test("takes a pipe", async () => {
    const pipe = join(archives, "pipe");
    execFileSync("mkfifo", [pipe]);
    const writer = spawn("sh", ["-c", `gzip <${plain} >${pipe}`]);
    expect(await importRoot("pipe", pipe, { directory })).toBe(`${directory}/pipe`);
    expect(writer.exitCode ?? 0).toBe(0);
  });

  test("leaves nothing of an archive that is damaged, cut off, or would land outside, and names it", async () => {
    const before = readdirSync(directory);
    const cut = archiveFile("cut.tar", archive.subarray(0, 2_000_000));
    expect(await problemOf("bad", cut)).toMatchObject({
      code: "data",
      message: expect.stringMatching(/^\/.*cut\.tar is malformed: the entry \.\/big .*is cut off$/) as string,
    });
    const zipped = execFileSync("gzip", ["-c"], { input: archive });
    expect(await problemOf("bad", archiveFile("cut.tar.gz", zipped.subarray(0, zipped.length - 20)))).toMatchObject({
      code: "data",
    });
    const zstd = execFileSync("zstd", ["-qc", "--no-check"], { input: archive });
    expect(await problemOf("bad", archiveFile("cut.tar.zst", zstd.subarray(0, zstd.length - 20)))).toMatchObject({
      code: "data",
    });
    const evil = archiveFile("evil.tar", craftArchive({ name: "ok" }, craftEntry({ name: "../../evil" })));
    expect(await problemOf("bad", evil)).toMatchObject({
      code: "data",
      message: expect.stringContaining("../../evil would land outside") as string,
    });
    expect(await problemOf("bad", archiveFile("text.tar", Buffer.alloc(5000, "text")))).toMatchObject({ code: "data" });
    expect(await problemOf("bad", archiveFile("empty.tar", Buffer.alloc(0)))).toMatchObject({
      code: "data",
      message: `${archives}/empty.tar is empty`,
    });
    expect(readdirSync(directory)).toEqual(before);
  });

  test("refuses what is no file, and names that are taken before it reads anything", async () => {
    expect(await problemOf("bad", "/nonexistent.tar")).toMatchObject({ code: "not-found" });
    expect(await problemOf("bad", archives)).toMatchObject({ code: "usage" });
    await placeRoot("taken", async () => {}, { directory });
    expect(await problemOf("taken", plain)).toMatchObject({ code: "exists" });
  });

  test("stops when it is told to", async () => {
    const controller = new AbortController();
    const onProgress = () => controller.abort(new Error("told to"));
    const stopped = importRoot("stopped", plain, { directory, onProgress, signal: controller.signal });
    expect(await stopped.catch((error: unknown) => error)).toMatchObject({ message: "told to" });
    expect(readdirSync(directory)).not.toContain("stopped");
  });
});
