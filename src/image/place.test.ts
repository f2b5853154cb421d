import { describe, expect, test } from "bun:test";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
  closeSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { craftArchive } from "../../test/support/tarball.ts";
import { UserError } from "../error.ts";
import { makeDirectoryAt } from "../kernel/file.ts";
import { importRoot } from "./import.ts";
import { clearPartials, placeRoot, removeRoot, rootPathOf } from "./place.ts";

const fixture = join(import.meta.dirname, "../../test/fixtures/import.ts");

/** A root of 40 files, 4 MB: cut anywhere, something of it is there already and something isn't. */
function makeArchive(): string {
  const files = Array.from({ length: 40 }, (_, index) => ({
    name: `dir/file-${index}`,
    body: Buffer.alloc(100_000, index),
  }));
  const path = join(temporaryDirectory("archive"), "root.tar");
  writeFileSync(path, craftArchive({ name: "dir/", type: "5" }, ...files, { name: "last" }));
  return path;
}

function startImport(name: string, archive: string, directory: string, tracer: readonly string[] = []): ChildProcess {
  const command = [...tracer, process.execPath, fixture, name, archive, directory];
  return spawn("env", command, { stdio: "ignore" });
}

/** How a promise fails. */
async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "not at all",
    (error: unknown) => (error instanceof UserError ? error.code : String(error)),
  );
}

const namesIn = (directory: string) => readdirSync(directory).toSorted();

describe("placeRoot()", () => {
  test("keeps the store to the superuser and the root to itself until it is whole", async () => {
    const directory = join(temporaryDirectory("store"), "a/chroots");
    const path = await placeRoot(
      "x",
      async (root) => {
        expect(namesIn(directory)).toEqual([expect.stringMatching(/^\.x\.partial-[0-9a-f]{8}$/) as string]);
        makeDirectoryAt(root, "etc", 0o755);
        await sleep(1);
      },
      { directory },
    );
    expect(path).toBe(`${directory}/x`);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(statSync(path).mode & 0o7777).toBe(0o755);
    expect(namesIn(directory)).toEqual(["x"]);
  });

  test("leaves nothing when making fails or is stopped", async () => {
    const directory = temporaryDirectory("store");
    const failing = placeRoot("x", () => Promise.reject(new Error("on purpose")), { directory });
    expect(await failing.catch((error: unknown) => error)).toMatchObject({ message: "on purpose" });
    const controller = new AbortController();
    const stopped = placeRoot("x", async () => controller.abort(new Error("stopped")), {
      directory,
      signal: controller.signal,
    });
    await stopped.catch((error: unknown) => expect(error).toMatchObject({ message: "stopped" }));
    expect(namesIn(directory)).toEqual([]);
  });

  test("refuses a name that is taken, also when it is taken meanwhile, and names for anything else", async () => {
    const directory = temporaryDirectory("store");
    await placeRoot("x", async () => {}, { directory });
    expect(await codeOf(placeRoot("x", async () => {}, { directory }))).toBe("exists");
    const meanwhile = placeRoot("y", async () => mkdirSync(`${directory}/y`), { directory });
    expect(await codeOf(meanwhile)).toBe("exists");
    expect(namesIn(directory)).toEqual(["x", "y"]);
    for (const name of ["", ".", "..", "a/b", ".x", "-x", "x\n"])
      expect(() => rootPathOf(name)).toThrow("can't be a chroot's name");
  });

  test("lets two at once make different roots, and not the same", async () => {
    const directory = temporaryDirectory("store");
    const slow = placeRoot("x", () => sleep(300), { directory });
    await sleep(50);
    expect(await codeOf(placeRoot("x", async () => {}, { directory }))).toBe("busy");
    expect(await placeRoot("y", async () => {}, { directory })).toBe(`${directory}/y`);
    expect(await clearPartials({ directory })).toEqual([]);
    expect(await slow).toBe(`${directory}/x`);
  });

  test("gives the root no ACL that the store hands down", async () => {
    const directory = temporaryDirectory("store");
    execFileSync("setfacl", ["-d", "-m", "u:daemon:rwx", directory]);
    chmodSync(directory, 0o2700);
    const path = await placeRoot("x", async () => {}, { directory });
    expect(execFileSync("getfacl", ["-pcs", path], { encoding: "utf8" })).toBe("");
    expect(statSync(path).mode & 0o7777).toBe(0o755);
  });
});

describe("a killed import leaves nothing that looks finished, and the next call clears it away", () => {
  test("at whatever byte of the archive", async () => {
    const directory = temporaryDirectory("store");
    const bytes = readFileSync(makeArchive());
    const pipe = join(temporaryDirectory("pipe"), "root.tar");
    execFileSync("mkfifo", [pipe]);
    for (const share of [0, 0.3, 0.9, 1]) {
      const child = startImport("x", pipe, directory);
      const input = openSync(pipe, "w");
      // What the child has taken from the pipe it has unpacked, but for the last megabyte.
      writeSync(input, bytes.subarray(0, Math.floor(bytes.length * share)));
      await sleep(share === 0 ? 300 : 100);
      child.kill("SIGKILL");
      await once(child, "exit");
      closeSync(input);
      expect(namesIn(directory)).toEqual([expect.stringMatching(/^\.x\.partial-/) as string]);
      expect(await clearPartials({ directory })).toEqual(["x"]);
      expect(namesIn(directory)).toEqual([]);
    }
  });

  // Where the name, the lock and the disk are concerned, at each call in turn.
  for (const [call, times] of [
    ["mkdirat", 1],
    ["flock", 3],
    ["syncfs", 1],
    ["renameat2", 1],
    ["fsync", 1],
  ] as const) {
    for (let time = 1; time <= times; time++) {
      test(`at ${call} ${time}`, async () => {
        const directory = temporaryDirectory("store");
        const archive = makeArchive();
        const inject = `--inject=${call}:signal=KILL:when=${time}`;
        const child = startImport("x", archive, directory, [
          "strace",
          "-f",
          "-qq",
          "-o",
          "/dev/null",
          `--trace=${call}`,
          inject,
        ]);
        const [status, signal] = (await once(child, "exit")) as [number | null, string | null];
        expect({ status, signal }).toEqual({ status: null, signal: "SIGKILL" });
        const [name, ...others] = namesIn(directory);
        expect(others).toEqual([]);
        if (name === "x") {
          expect(readdirSync(`${directory}/x/dir`)).toHaveLength(40);
          expect(readdirSync(`${directory}/x`)).toContain("last");
          rmSync(`${directory}/x`, { recursive: true });
        } else expect(name ?? ".x.partial-").toStartWith(".x.partial-");
        expect(await importRoot("x", archive, { directory })).toBe(`${directory}/x`);
        expect(namesIn(directory)).toEqual(["x"]);
      });
    }
  }
});

describe("clearPartials()", () => {
  test("does nothing where there is no store, and leaves what isn't ours", async () => {
    expect(await clearPartials({ directory: "/nonexistent" })).toEqual([]);
    const directory = temporaryDirectory("store");
    for (const name of [".hidden", "x", ".x.partial-0", "x.partial-01234567"]) mkdirSync(join(directory, name));
    writeFileSync(join(directory, ".f.partial-01234567"), "");
    expect(await clearPartials({ directory })).toEqual([]);
    expect(namesIn(directory)).toHaveLength(5);
  });

  test("tells what it can't remove, and doesn't stop others", async () => {
    const directory = temporaryDirectory("store");
    mkdirSync(join(directory, ".x.partial-01234567/mounted"), { recursive: true });
    mkdirSync(join(directory, ".y.partial-01234567"));
    const warnings: string[] = [];
    const onWarning = (text: string) => void warnings.push(text);
    execFileSync("mount", ["-t", "tmpfs", "none", join(directory, ".x.partial-01234567/mounted")]);
    expect(await clearPartials({ directory, onWarning })).toEqual(["y"]);
    expect(warnings).toEqual([expect.stringContaining("something is mounted on") as string]);
    expect(await placeRoot("x", async () => {}, { directory, onWarning })).toBe(`${directory}/x`);
    execFileSync("umount", [join(directory, ".x.partial-01234567/mounted")]);
    expect(await clearPartials({ directory })).toEqual(["x"]);
  });
});

describe("removeRoot()", () => {
  test("deletes a root that placeRoot() made", async () => {
    const directory = temporaryDirectory("store");
    const path = await placeRoot("x", async (root) => makeDirectoryAt(root, "etc", 0o755), { directory });
    execFileSync("chattr", ["+i", `${path}/etc`]);
    await removeRoot("x", directory);
    expect(namesIn(directory)).toEqual([]);
    expect(await codeOf(removeRoot("x", directory))).toBe("not-found");
  });

  test("doesn't follow a link in the store", async () => {
    const directory = temporaryDirectory("store");
    const outside = temporaryDirectory("outside");
    writeFileSync(join(outside, "kept"), "");
    symlinkSync(outside, join(directory, "x"));
    expect(await codeOf(removeRoot("x", directory))).toContain("ELOOP");
    expect(namesIn(outside)).toEqual(["kept"]);
  });
});
