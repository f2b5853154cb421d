// Real full file systems: an error that says which, a status that isn't 0, and nothing left behind.
import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";
import { leftovers, type Traces } from "../support/leftovers.ts";
import { beginMarked, describeMarked, expectUsable, settle } from "./session.ts";

const state = "/var/lib/fallthru";
let before: Traces;
let mounted: string[] = [];

beforeAll(async () => {
  before = await settle(describeMarked);
});

afterEach(() => {
  for (const path of mounted) execFileSync("umount", [path]);
  mounted = [];
  expect(leftovers(before)).toEqual([]);
});

function mountSmall(path: string, options: string): void {
  execFileSync("mount", ["-t", "tmpfs", "-o", options, "small", path]);
  mounted.push(path);
}

/** Fills what is left, to the last byte; the name is one that no session has. */
function fill(path: string): void {
  try {
    writeFileSync(`${path}/.filler`, Buffer.alloc(16 << 20, 1));
  } catch {
    // It is full now.
  }
}

function locateTiny(): string {
  return /^directory=(.*)$/m.exec(readFileSync("/etc/schroot/chroot.d/tiny.conf", "utf8"))?.[1] ?? "";
}

describe("a full file system under", () => {
  const cases = {
    "the session's record": { options: "size=40K", prepare: fill, args: [], full: `${state}/sessions` },
    "the layers, out of inodes": { options: "nr_inodes=16", prepare: () => {}, args: [], full: `${state}/sessions/x` },
    "the layers, out of space": { options: "size=16K", prepare: () => {}, args: [], full: `${state}/sessions/x` },
  };
  for (const [name, { options, prepare, args, full }] of Object.entries(cases)) {
    for (const verb of [
      ["begin", "tiny", "--name", "x"],
      ["run", "tiny", "--name", "x"],
    ]) {
      test(`${name}: ${verb[0]}`, async () => {
        mountSmall(state, options);
        await fallthru(["recover"]);
        prepare(state);
        const result = await fallthru([...verb, ...args]);
        expect(result.status).toBe(verb[0] === "run" ? 125 : 8);
        expect(result.stderr).toContain(full);
        expect(result.stderr).toContain("hint: free some space there");
        expect(readdirSync(`${state}/sessions`)).toEqual([".held"]);
        expect(readdirSync(`${state}/sessions/.held`)).toEqual([]);
        expect(readdirSync("/run/fallthru/mount")).toEqual([]);
      });
    }
  }

  test("an archive that is unpacked", async () => {
    const directory = temporaryDirectory("archive");
    const archive = `${directory}/root.tar`;
    writeFileSync(`${directory}/big`, Buffer.alloc(1 << 20, 1));
    execFileSync("tar", ["-C", directory, "-cf", archive, "big"]);
    writeFileSync("/etc/schroot/chroot.d/packed.conf", `[packed]\ntype=file\nfile=${archive}\nprofile=fallthru\n`);
    for (const verb of ["begin", "run"]) {
      mountSmall(state, "size=300K");
      await fallthru(["recover"]);
      const result = await fallthru([verb, "packed", "--name", "x"]);
      expect(result.status).toBe(verb === "run" ? 125 : 8);
      expect(result.stderr).toContain("hint: free some space there");
      expect(readdirSync(`${state}/sessions`)).toEqual([".held"]);
      expect(readdirSync(`${state}/sessions/.held`)).toEqual([]);
      execFileSync("umount", [mounted.pop() ?? ""]);
    }
  });

  test("--upper DIR", async () => {
    const upper = temporaryDirectory("small");
    mountSmall(upper, "size=16K");
    const result = await fallthru(["begin", "tiny", "--name", "x", "--upper", upper]);
    expect(result.status).toBe(8);
    expect(result.stderr).toContain(`fallthru: the file system of ${upper}/fallthru-x-`);
    expect(readdirSync(upper)).toEqual([]);
  });

  test("--upper tmpfs:SIZE", async () => {
    const result = await fallthru(["begin", "tiny", "--name", "x", "--upper", "tmpfs:16K"]);
    expect(result.status).toBe(8);
    expect(result.stderr).toContain("fallthru: the file system of /run/fallthru/upper/x is full");
  });

  test("what begin prints its id to", async () => {
    for (const options of [[], ["--json"]]) {
      const begin = `${executable} begin tiny --name x ${options.join(" ")} > /dev/full`;
      const { status, stderr } = await run(["sh", "-c", begin]);
      expect({ status, stderr }).toMatchObject({
        status: 8,
        stderr: expect.stringContaining("standard output") as string,
      });
      expect(leftovers(before)).toEqual([]);
    }
  });

  test("a session that runs: the command is told, and the session goes on and ends", async () => {
    await beginMarked("x", ["--upper", "tmpfs:200K"]);
    const filled = await fallthru(["run", "@x", "--", "dd", "if=/dev/zero", "of=/fill", "bs=1k", "count=1000"]);
    expect(filled.status).toBe(1);
    expect(filled.stderr).toContain("No space left on device");
    await fallthru(["run", "@x", "--", "rm", "/fill"]);
    await expectUsable("x");
    await fallthru(["run", "@x", "--", "dd", "if=/dev/zero", "of=/fill", "bs=1k", "count=1000"]);
    expect(await fallthru(["end", "x"])).toMatchObject({ status: 0, stderr: "" });
  });

  test("a run whose changes are to be kept: they are, though its record can't be written", async () => {
    mountSmall(state, "size=300K");
    const script = "echo kept > /kept; dd if=/dev/zero of=/fill bs=1k count=1000 2>/dev/null; true";
    const ran = await fallthru(["run", "tiny", "--name", "x", "--on-exit=keep", "--", "sh", "-c", script]);
    expect([ran.status, ran.stderr]).toEqual([
      0,
      expect.stringContaining("what it has changed may not be on the disk"),
    ]);
    expect(ran.stderr).toContain("No space left on device".toLowerCase());
    expect(await fallthru(["recover"])).toMatchObject({ status: 0 });
    expect(await fallthru(["run", "@x", "--", "cat", "/kept"])).toMatchObject({ status: 0, stdout: "kept\n" });
    await fallthru(["run", "@x", "--", "rm", "/fill"]);
    await expectUsable("x");
    expect(await fallthru(["end", "x"])).toMatchObject({ status: 0, stderr: "" });
  });

  test("a session that has every inode of its disk: it can be ended", async () => {
    const image = `${temporaryDirectory("image")}/ext4`;
    execFileSync("truncate", ["-s", "16M", image]);
    execFileSync("mkfs.ext4", ["-q", "-N", "200", image]);
    execFileSync("mount", ["-o", "loop", image, state]);
    mounted.push(state);
    await beginMarked("x");
    const command = "i=0; while : > /$i; do i=$((i+1)); done";
    expect((await fallthru(["run", "@x", "--", "sh", "-c", command])).stderr).toContain("No space left on device");
    expect(await fallthru(["end", "x"])).toMatchObject({ status: 0, stderr: "" });
    expect(readdirSync(`${state}/sessions/.held`)).toEqual([]);
  });

  test("sessions that are there: they can be listed, run in, and ended", async () => {
    mountSmall(state, "size=2M");
    await beginMarked("x");
    fill(state);
    expect(await fallthru(["list"])).toMatchObject({ status: 0, stderr: "" });
    expect(await fallthru(["run", "@x", "--", "cat", "/etc/hostname"])).toMatchObject({ status: 0, stdout: "mark\n" });
    execFileSync("umount", ["--lazy", "/run/fallthru/mount/x/x"]);
    const recovered = await fallthru(["recover"]);
    expect([0, 1]).toContain(recovered.status ?? -1);
    expect(await fallthru(["end", "x"])).toMatchObject({ status: 0, stderr: "" });
  });

  /** A session whose changes are on a small disk, with a file of 1 MB below that was deleted in it. */
  async function beginSmall(): Promise<string> {
    const upper = temporaryDirectory("small");
    mountSmall(upper, "size=1500K");
    await beginMarked("x", ["--upper", upper]);
    return upper;
  }

  test("a discard: it says which disk, and brings nothing back half", async () => {
    const big = `${locateTiny()}/bin/big`;
    writeFileSync(big, Buffer.alloc(1 << 20, 1));
    const upper = await beginSmall();
    await fallthru(["run", "@x", "--", "sh", "-c", "rm /bin/big; echo other >/bin/other"]);
    fill(upper);
    expect(await fallthru(["discard", "x", "/bin"])).toMatchObject({
      status: 8,
      stderr: expect.stringMatching(
        /^fallthru: the file system of \S*small\S* is full: .*\nhint: free some space there/,
      ),
    });
    const { stdout } = await fallthru(["diff", "x", "--name-status", "--", "/bin"]);
    expect(stdout).toBe("D\t/bin/big\n");
    rmSync(`${upper}/.filler`);
    expect(await fallthru(["discard", "x", "/bin"])).toMatchObject({ status: 0, stderr: "" });
    expect((await fallthru(["run", "@x", "--", "wc", "-c", "/bin/big"])).stdout).toBe("1048576 /bin/big\n");
    expect(await fallthru(["end", "x"])).toMatchObject({ status: 0, stderr: "" });
    rmSync(big);
  });

  test("a fork: it says which disk, and neither leaves anything nor changes the first", async () => {
    const upper = await beginSmall();
    await fallthru(["run", "@x", "--", "dd", "if=/dev/zero", "of=/bin/big", "bs=1k", "count=600"]);
    fill(upper);
    const there = readdirSync(upper);
    expect(await fallthru(["fork", "x", "--name", "y", "--copy"])).toMatchObject({
      status: 8,
      stderr: expect.stringMatching(/^fallthru: the file system of \/.* is full: .*\nhint: free some space there/),
    });
    expect(readdirSync(upper)).toEqual(there);
    expect(await fallthru(["run", "@y", "--", "true"])).toMatchObject({ status: 125 });
    expect((await fallthru(["run", "@x", "--", "wc", "-c", "/bin/big"])).stdout).toBe("614400 /bin/big\n");
    // Where nothing is copied, nothing needs space.
    expect(await fallthru(["fork", "x", "--name", "y"])).toMatchObject({ status: 0, stderr: "" });
    expect(await fallthru(["end", "x", "y"])).toMatchObject({ status: 0, stderr: "" });
  });
});
