// deadline: 300
import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { detachMount } from "../../src/kernel/mount.ts";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { fallthru, startFallthru } from "../support/fallthru.ts";
import { leftoversAfter, type Traces, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import { describeTree } from "../support/tree.ts";

const mountPointOf = (id: string): string => `/run/fallthru/mount/${id}/${id}`;

const frozenDir = "/var/lib/fallthru/sessions/.frozen";

let before: Traces;
let root: string;

beforeAll(async () => {
  root = tinyRoot();
  mkdirSync(`${root}/data/deep/er`, { recursive: true });
  for (const name of ["one", "two", "three"]) writeFileSync(`${root}/data/${name}`, `${name}\n`);
  await sh0(`cd ${root}/data && echo same >l1 && ln l1 l2 && ln l1 deep/l3 && echo in >deep/er/file && ln -s one link
    && mkdir gone && echo x >gone/x && mkfifo pipe && truncate -s 1M holes && setfattr -n user.a -v b one
    && echo other >m1 && ln m1 m2 && chmod 750 deep`);
  describeChroot("tiny", root);
  await fallthru(["recover"]);
  before = traces();
});

async function sh0(script: string): Promise<void> {
  const { run } = await import("../support/fallthru.ts");
  expect(await run(["sh", "-c", script.replaceAll("\n", " ")])).toMatchObject({ status: 0, stderr: "" });
}

afterEach(async () => {
  await fallthru(["end", "--all", "--force"]);
  expect(await leftoversAfter(before)).toEqual([]);
});

/** What overlayfs finds hard: each of its marks, from outside, as what is in the root is the chroot's own few programs. */
const changes = `echo changed >l1; mv deep moved; echo new >moved/er/new; rm -r gone; mkdir gone; echo y >gone/y
chmod 600 one; chown 5:6 two; mv three renamed; chmod 640 renamed; setfattr -n user.c -v d one; rm link; ln -s two link
echo more >>holes; truncate -s 3M holes; mkdir made; echo z >made/z; ln made/z made/z2; mknod null c 1 3; rm pipe; mkfifo pipe2
echo n >m1; rm m1; touch -d 2001-02-03 made; chmod 1777 made`.replaceAll("\n", "; ");

async function begin(id: string, args: readonly string[] = []): Promise<void> {
  expect(await fallthru(["begin", "tiny", "--name", id, ...args])).toMatchObject({ status: 0, stderr: "" });
}

async function change(id: string, script: string): Promise<void> {
  await sh0(`cd ${mountPointOf(id)}/data; ${script}`);
}

async function fork(id: string, name: string, args: readonly string[] = []): Promise<Record<string, unknown>> {
  const forked = await fallthru(["fork", `@${id}`, "--name", name, "--json", ...args]);
  expect(forked).toMatchObject({ status: 0, stderr: "" });
  return JSON.parse(forked.stdout) as Record<string, unknown>;
}

const dataOf = (id: string): string[] => describeTree(`${mountPointOf(id)}/data`);

for (const union of ["overlay", "fallthru"]) {
  describe(`a fork of a session on ${union}`, () => {
    test("shares what nobody is changing, and both trees are what the one was", async () => {
      await begin("a", ["--union", union]);
      await change("a", changes);
      const was = dataOf("a");
      expect(await fork("a", "b")).toEqual({ id: "b", forkedFrom: "a", way: "shared" });
      expect(dataOf("b")).toEqual(was);
      expect(dataOf("a")).toEqual(was);
      await change("a", "echo a >only; rm one; echo from-a >>two; echo a >>l2");
      await change(
        "b",
        "echo b >only-b; rm two; echo from-b >>one; echo b >>moved/l3; rmdir made 2>/dev/null; mv moved back",
      );
      const [a, b] = [dataOf("a"), dataOf("b")];
      expect(a.filter((line) => line.includes("only-b"))).toEqual([]);
      expect(b.some((line) => line.startsWith("./only "))).toBe(false);
      expect(b.some((line) => line.startsWith("./one "))).toBe(true);
      await fallthru(["end", "a"]);
      expect(dataOf("b")).toEqual(b);
    });
    test("copies where somebody is inside", async () => {
      await begin("a", ["--union", union]);
      await change("a", changes);
      const busy = startFallthru(["run", "@a", "--directory", "/", "--", "sleep", "100"]);
      await waitForProcess("a");
      const was = dataOf("a");
      const forked = await fork("a", "b");
      expect(forked).toMatchObject({ id: "b", way: "copied" });
      expect(dataOf("b")).toEqual(was);
      expect(dataOf("a")).toEqual(was);
      await change("b", "echo b >>l2");
      expect(dataOf("a")).toEqual(was);
      expect(dataOf("b").filter((line) => line.includes("= ./l1")).length).toBe(3);
      busy.kill();
    });
  });
}

describe("forks of other sessions", () => {
  test("of one that has changed nothing take nothing, and those of forks go on with what they have", async () => {
    await begin("a");
    await change("a", "echo a >first");
    await fork("a", "b");
    expect(await fork("b", "c")).toMatchObject({ way: "nothing" });
    await change("c", "echo c >second");
    expect(await fork("c", "d")).toMatchObject({ way: "shared" });
    await change("d", "rm first; echo d >second");
    const d = dataOf("d");
    for (const id of ["b", "a", "c"]) await fallthru(["end", id]);
    expect(dataOf("d")).toEqual(d);
    expect(readdirSync(frozenDir).length).toBe(2);
  });

  test("may be many in a row, each with a change", async () => {
    await begin("f0");
    for (let number = 1; number <= 12; number++) {
      await change(
        `f${number - 1}`,
        `echo ${number} >number; echo >n${number}; mkdir -p d; mv d e; mv e d; echo ${number} >>d/all`,
      );
      await fork(`f${number - 1}`, `f${number}`);
      await fallthru(["end", `f${number - 1}`]);
    }
    const lines = dataOf("f12");
    expect(lines.filter((line) => /^\.\/n\d+ /.test(line)).length).toBe(12);
    expect(lines.filter((line) => line.startsWith("./n12 ")).length).toBe(1);
    expect(readdirSync(frozenDir).length).toBe(12);
  });

  test("keep what was changed where --upper says, in memory by a copy", async () => {
    const upper = temporaryDirectory("upper");
    await begin("a", ["--upper", upper]);
    await change("a", changes);
    const was = dataOf("a");
    expect(await fork("a", "b")).toMatchObject({ way: "shared" });
    expect(readdirSync(upper).filter((name) => name.startsWith("fallthru-frozen-")).length).toBe(1);
    await fallthru(["end", "a"]);
    expect(dataOf("b")).toEqual(was);
    await fallthru(["end", "b"]);
    expect(readdirSync(upper)).toEqual([]);
    await begin("m", ["--upper", "tmpfs:20M"]);
    await change("m", changes);
    const memory = dataOf("m");
    expect(await fork("m", "n")).toMatchObject({ way: "copied", reason: "they are kept in memory" });
    await fallthru(["end", "m"]);
    expect(dataOf("n")).toEqual(memory);
  });

  test("are mounted again after a restart, with the layers that both have", async () => {
    await begin("a");
    await change("a", changes);
    await fork("a", "b");
    await change("b", "echo b >>renamed");
    const [a, b] = [dataOf("a"), dataOf("b")];
    detachMount("/run/fallthru");
    const { recovered, lost } = JSON.parse((await fallthru(["recover", "--json"])).stdout) as Record<string, string[]>;
    expect([recovered?.toSorted(), lost]).toEqual([["a", "b"], []]);
    expect([dataOf("a"), dataOf("b")]).toEqual([a, b]);
  });

  test("of the host's root have all its unions", async () => {
    expect(await fallthru(["begin", "--name", "h"])).toMatchObject({ status: 0 });
    const tree = mountPointOf("h");
    await sh0(`echo one >${tree}/etc/fork-test; echo two >${tree}/tmp/fork-test`);
    const forked = await fallthru(["fork", "h", "--name", "i", "--json"]);
    expect(forked).toMatchObject({ status: 0 });
    expect(JSON.parse(forked.stdout)).toMatchObject({
      way: "copied",
      reason: expect.stringContaining("inside a lower"),
    });
    await sh0(`echo more >>${tree}/etc/fork-test`);
    expect(readFileSync(`${mountPointOf("i")}/etc/fork-test`, "utf8")).toBe("one\n");
    expect(readFileSync(`${mountPointOf("i")}/tmp/fork-test`, "utf8")).toBe("two\n");
  });

  test("have their archive's root in a copy", async () => {
    const archive = `${temporaryDirectory("archive")}/root.tar`;
    await sh0(`tar -C ${root} -cf ${archive} .`);
    writeFileSync("/etc/schroot/chroot.d/packed.conf", `[packed]\ntype=file\nfile=${archive}\n`);
    expect(await fallthru(["begin", "packed", "--name", "p"])).toMatchObject({ status: 0 });
    await change("p", "echo p >packed; ln one linked");
    const was = dataOf("p");
    expect(await fork("p", "q")).toMatchObject({ way: "copied" });
    await change("p", "echo more >>packed");
    expect(dataOf("q")).toEqual(was);
  });
});

describe("fork", () => {
  test("says what it can't", async () => {
    await begin("a");
    await change("a", "echo a >a");
    const busy = startFallthru(["run", "@a", "--directory", "/", "--", "sleep", "100"]);
    await waitForProcess("a");
    expect(await fallthru(["fork", "a", "--name", "b", "--no-copy"])).toMatchObject({
      status: 4,
      stderr: expect.stringMatching(/can't be shared: process \d+ \(sleep 100\) runs in the session\nhint: /) as string,
    });
    busy.kill();
    expect(await fallthru(["fork", "a", "--name", "a"])).toMatchObject({ status: 5 });
    expect(await fallthru(["fork", "nobody"])).toMatchObject({ status: 3 });
    expect(await fallthru(["fork", "a", "--copy", "--no-copy"])).toMatchObject({ status: 2 });
    expect(await fallthru(["begin", "source:tiny", "--name", "s"])).toMatchObject({ status: 0 });
    expect(await fallthru(["fork", "s"])).toMatchObject({ status: 7 });
  });

  test("copies where a file is open for writing from outside, and leaves it so", async () => {
    await begin("a");
    await change("a", "echo a >open");
    const file = openSync(`${mountPointOf("a")}/data/open`, "a");
    expect(await fork("a", "b")).toMatchObject({ way: "copied", reason: "a file in it is open for writing" });
    writeSync(file, "more\n");
    closeSync(file);
    await change("a", "echo new >new");
    expect(readFileSync(`${mountPointOf("a")}/data/open`, "utf8")).toBe("a\nmore\n");
    expect(readFileSync(`${mountPointOf("b")}/data/open`, "utf8")).toBe("a\n");
  });

  test("makes a copy that was there at one moment, whatever is written meanwhile", async () => {
    await begin("a");
    await change("a", "for i in $(seq 500); do echo 0 >f$i; done");
    // Each round writes all files in turn, and rests: no copy that mixes two rounds would show a later file's first.
    const script =
      "n=1; while :; do i=1; while [ $i -le 500 ]; do echo $n >/data/f$i; i=$((i+1)); done; n=$((n+1)); sleep 0.3; done";
    const writer = startFallthru(["run", "@a", "--directory", "/", "--", "sh", "-c", script]);
    await waitForProcess("a");
    const forked = await fallthru(["fork", "a", "--name", "b", "--json"]);
    writer.kill("SIGKILL");
    expect(forked.status).toBe(0);
    if (forked.stderr !== "") return; // It said that it couldn't.
    const rounds = Array.from({ length: 500 }, (_, at) =>
      Number(readFileSync(`${mountPointOf("b")}/data/f${at + 1}`, "utf8")),
    );
    expect(rounds).toEqual(rounds.toSorted((x, y) => y - x));
    expect((rounds[0] ?? 0) - (rounds[499] ?? 0)).toBeLessThanOrEqual(1);
  });

  test("leaves what a session has changed its change: diff says of both what it said of the one", async () => {
    await begin("a");
    const script = `echo changed >l1; rm -r gone; mkdir gone; echo y >gone/y; chmod 600 one; rm link; ln -s two link;
      mkdir made; echo z >made/z; ln made/z made/z2; rm pipe; setfattr -n user.c -v d one; mv three moved`;
    await change("a", script.replaceAll("\n", " "));
    const diff = async (id: string): Promise<string> => {
      const shown = await fallthru(["diff", `@${id}`, "--name-status"]);
      expect(shown).toMatchObject({ stderr: "" });
      return shown.stdout.replaceAll(/^R(\S*)\s+(\S+)( -> |\t)(\S+)$/gm, "D\t$2\nA\t$4");
    };
    const was = (await diff("a")).split("\n").toSorted();
    expect(was.length).toBeGreaterThan(10);
    await fork("a", "b");
    expect((await diff("a")).split("\n").toSorted()).toEqual(was);
    expect((await diff("b")).split("\n").toSorted()).toEqual(was);
    await change("b", "echo more >later; rm one");
    const now = await diff("b");
    expect(now).toMatch(/^A\t.*data\/later$/m);
    expect(now).toMatch(/^D\t.*data\/one$/m);
  });

  test("is told by list, info and the session's file in schroot's place", async () => {
    await begin("a", ["--ttl", "1h", "--hostname", "there"]);
    await change("a", "echo a >a");
    await fork("a", "b");
    const info = JSON.parse((await fallthru(["info", "@b", "--json"])).stdout) as Record<string, unknown>;
    expect(info).toMatchObject({ forkedFrom: "a", hostname: "there", state: "open" });
    expect(info["expiresMs"]).toBeNumber();
    expect((await fallthru(["list"])).stdout).toMatch(/FORKED FROM\n(.*\n)*b .* a\n/);
  });
});

async function waitForProcess(id: string): Promise<void> {
  for (let tries = 0; tries < 1500; tries++) {
    const { stdout } = await fallthru(["info", `@${id}`, "--json"]);
    if ((JSON.parse(stdout) as { processes: unknown[] }).processes.length > 0) return;
    await sleep(20);
  }
  throw new Error("the command didn't start");
}
