// Many sessions and many processes at once; what list, info and gc say.
import { afterEach, describe, expect, test } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readMountInfo } from "../../src/mount/mountinfo.ts";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, startFallthru } from "../support/fallthru.ts";
import { leftoversAfter, traces, untilRuns } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";

const root = tinyRoot();
describeChroot("tiny", root, ["profile=fallthru", "aliases=small"]);
const before = traces();
afterEach(async () => {
  await fallthru(["end", "--all"]);
  expect(await leftoversAfter(before)).toEqual([]);
});
const sh = (script: string) => execFileSync("bash", ["-ec", script], { encoding: "utf8" });

interface Listed {
  readonly id: string;
  readonly chroot: string;
  readonly state: string;
  readonly createdMs: number;
  readonly expiresMs?: number;
  readonly mountPoint: string;
}
const list = async () => (JSON.parse((await fallthru(["list", "--json"])).stdout) as { sessions: Listed[] }).sessions;
const info = async (id: string) =>
  JSON.parse((await fallthru(["info", `@${id}`, "--json"])).stdout) as Record<string, unknown>;

describe("at once:", () => {
  test("of ten begins of one name exactly one wins", async () => {
    const results = await Promise.all(Array.from({ length: 10 }, () => fallthru(["begin", "tiny", "--name", "one"])));
    expect(results.filter(({ status }) => status === 0).length).toBe(1);
    for (const { status, stderr } of results.filter((result) => result.status !== 0)) {
      expect([status, stderr]).toEqual([
        expect.any(Number),
        expect.stringMatching(/^fallthru: (session one exists already|.*one)/),
      ]);
      expect([4, 5]).toContain(status ?? 0);
    }
    expect((await list()).map(({ id, state }) => [id, state])).toEqual([["one", "open"]]);
  });

  test("twenty runs in a session that is ended meanwhile", async () => {
    await fallthru(["begin", "tiny", "--name", "busy"]);
    const runs = Array.from({ length: 20 }, () =>
      fallthru(["run", "@busy", "--", "sh", "-c", "echo in; sleep 100"], { timeoutMs: 60_000 }),
    );
    await new Promise((done) => setTimeout(done, 60));
    const end = await fallthru(["end", "busy"]);
    expect([end.status, end.stderr]).toEqual([0, ""]);
    for (const { status, signal, stderr } of await Promise.all(runs)) {
      // Killed inside, or too late to come in.
      if (signal === null)
        expect([status, stderr]).toEqual([125, expect.stringMatching(/^fallthru: no session busy\n/)]);
      else expect(signal).toBe("SIGTERM");
    }
  });

  test("fifty begins, with commands, and their ends", async () => {
    const ids = Array.from({ length: 50 }, (_, index) => `s${index}`);
    const begun = await Promise.all(
      ids.map((id) => fallthru(["begin", index(id) % 5 === 0 ? "host" : "tiny", "--name", id])),
    );
    expect(begun.map(({ status, stderr }) => [status, stderr])).toEqual(ids.map(() => [0, ""]));
    expect((await list()).length).toBe(50);
    const runs = await Promise.all(
      ids.map((id) => fallthru(["run", `@${id}`, "--", "sh", "-c", `echo ${id} >/tmp/own; cat /tmp/own`])),
    );
    expect(runs.map(({ stdout }) => stdout)).toEqual(ids.map((id) => `${id}\n`));
    const ended = await Promise.all(ids.map((id) => fallthru(["end", id])));
    expect(ended.map(({ status, stderr }) => [status, stderr])).toEqual(ids.map(() => [0, ""]));
  });

  test("fifty automatic sessions", async () => {
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        fallthru(["run", "tiny", "--", "sh", "-c", `echo ${index} >/x; cat /x`]),
      ),
    );
    expect(results.map(({ stdout, stderr }) => [stdout, stderr])).toEqual(
      results.map((_, index) => [`${index}\n`, ""]),
    );
  });

  test("the first twenty begins on a machine", async () => {
    sh("umount /run/fallthru; rm -rf /var/lib/fallthru/sessions");
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, index) => fallthru(["begin", "tiny", "--name", `first${index}`])),
    );
    expect(results.map(({ status, stderr }) => [status, stderr])).toEqual(results.map(() => [0, ""]));
    expect(readMountInfo().filter(({ mountPoint }) => mountPoint === "/run/fallthru").length).toBe(1);
    expect((await list()).length).toBe(20);
  });

  test("two sessions don't see each other's changes, nor the root theirs", async () => {
    for (const id of ["a", "b"]) await fallthru(["begin", "tiny", "--name", id]);
    await fallthru(["run", "@a", "--", "sh", "-c", "rm /etc/group; echo a >/etc/passwd; mkdir /a"]);
    expect((await fallthru(["run", "@b", "--", "sh", "-c", "ls -d /a; wc -l </etc/group"])).stdout).not.toBe("0\n");
    expect(readdirSync(root)).not.toContain("a");
    expect(existsSync(join(root, "etc/group"))).toBe(true);
  });
});

function index(id: string): number {
  return Number(id.slice(1));
}

describe("list and info", () => {
  test("say what a session is, from its beginning to its end", async () => {
    const start = Date.now();
    await fallthru(["begin", "small", "--name", "fix", "--ttl", "1h"]);
    const [session] = await list();
    expect(session).toEqual({
      id: "fix",
      chroot: "tiny",
      state: "open",
      createdMs: expect.any(Number) as number,
      expiresMs: (session?.createdMs ?? 0) + 3_600_000,
      mountPoint: "/run/fallthru/mount/fix/fix",
    });
    expect(session?.createdMs).toBeGreaterThanOrEqual(start);
    const child = startFallthru(["run", "@fix", "--", "sleep", "1008"]);
    const ended = new Promise((done) => child.once("close", done));
    let said = await info("fix");
    // Between chroot(2) and execve(2) it has our own name.
    while ((said["processes"] as { command: string }[])[0]?.command !== "sleep 1008") said = await info("fix");
    expect(said).toMatchObject({
      kind: "session",
      state: "open",
      upper: { kind: "state" },
      network: "host",
      limits: {},
      unions: [
        {
          path: "/",
          lowers: [root],
          upper: "/var/lib/fallthru/sessions/fix/layers/0/upper",
          work: "/var/lib/fallthru/sessions/fix/layers/0/work",
        },
      ],
      processes: [{ pid: child.pid, command: "sleep 1008" }],
    });
    expect((said["unions"] as { options: string[] }[])[0]?.options).toEqual([
      "redirect_dir=on",
      "index=on",
      "metacopy=on",
      "xino=off", // root and changes are on one file system, where inode numbers need none
    ]);
    expect((await fallthru(["list"])).stdout).toMatch(
      /^SESSION +CHROOT +STATE +AGE +TTL\nfix +tiny +open +\d+s +59m5\ds\n$/,
    );
    expect((await fallthru(["end", "fix"])).stdout).toBe("ended fix, killed 1 process\n");
    await ended;
    expect(await list()).toEqual([]);
    const gone = await fallthru(["info", "@fix"]);
    expect([gone.status, gone.stderr]).toEqual([3, expect.stringMatching(/^fallthru: no session fix\n/)]);
  });

  test("say that a session is automatic and held while its command runs, with volatile layers", async () => {
    const child = startFallthru(["run", "tiny", "--", "sh", "-c", "echo up; read line"]);
    const ended = new Promise((done) => child.once("close", done));
    await new Promise((up) => child.stdout?.once("data", up));
    const [session] = await list();
    expect(session).toMatchObject({ chroot: "tiny", state: "held" });
    const said = await info(session?.id ?? "");
    expect((said["unions"] as { options: string[] }[])[0]?.options).toContain("volatile");
    child.stdin?.end("\n");
    await ended;
  });

  test("tell a session that was begun on the host, with each of its unions", async () => {
    await fallthru(["begin", "host", "--name", "h"]);
    const said = await info("h");
    const unions = said["unions"] as { path: string; lowers: string[] }[];
    expect(said["chroot"]).toBe("host");
    expect(unions[0]).toMatchObject({ path: "/", lowers: ["/"] });
    expect(unions.map(({ path }) => path)).toContain("/dev");
  });

  test("of a thousand are kept as they were read, until any session comes, goes or is held", async () => {
    const sessions = "/var/lib/fallthru/sessions";
    await fallthru(["begin", "tiny", "--name", "real"]);
    const record = readFileSync(`${sessions}/real/record.json`, "utf8");
    for (let number = 1; number <= 1000; number++) {
      mkdirSync(`${sessions}/copy${number}`);
      writeFileSync(`${sessions}/copy${number}/record.json`, record.replace("real", `copy${number}`));
    }
    const settled = () => sleep(300);
    try {
      await settled();
      const first = await list();
      expect([first.length, first.find(({ id }) => id === "real")?.state]).toEqual([1001, "open"]);
      // What nobody but somebody's own hand does isn't seen yet.
      sh(`sed -i '1s/"tiny"/"tony"/' ${sessions}/copy7/record.json`);
      expect(await list()).toEqual(first);
      sh("umount --recursive --lazy /run/fallthru/mount/real/real");
      expect((await list()).filter(({ state }) => state !== "unmounted")).toEqual([]);
      await fallthru(["begin", "tiny", "--name", "other"]);
      const second = await list();
      expect([second.length, second.find(({ id }) => id === "copy7")?.chroot]).toEqual([1002, "tony"]);
      await settled();
      expect(await list()).toEqual(second);
      await fallthru(["end", "other"]);
      expect((await list()).length).toBe(1001);
      await settled();
      await list();
      sh(`rm -r ${sessions}/copy7`);
      expect((await list()).length).toBe(1000);
      await settled();
      await list();
      const child = startFallthru(["run", "tiny", "--", "sh", "-c", "echo up; read line"]);
      const ended = new Promise((done) => child.once("close", done));
      await new Promise((up) => child.stdout?.once("data", up));
      expect((await list()).filter(({ state }) => state === "held").length).toBe(1);
      child.stdin?.end("\n");
      await ended;
    } finally {
      sh(`rm -rf ${sessions}/copy*`);
    }
  });

  test("are ordered by age, and don't mind what else lies about", async () => {
    for (const id of ["zz", "aa", "mm"]) await fallthru(["begin", "tiny", "--name", id]);
    mkdirSync("/var/lib/fallthru/sessions/.hidden");
    writeFileSync("/var/lib/fallthru/sessions/README", "not ours\n");
    mkdirSync("/var/lib/fallthru/sessions/lost+found");
    try {
      expect((await list()).filter(({ createdMs }) => createdMs > 0).map(({ id }) => id)).toEqual(["zz", "aa", "mm"]);
      for (const verb of [["list"], ["gc"], ["begin", "tiny", "--name", "new"]])
        expect([verb, (await fallthru(verb)).status]).toEqual([verb, 0]);
    } finally {
      sh("cd /var/lib/fallthru/sessions; rm -rf .hidden README lost+found");
    }
  });
});

describe("gc", () => {
  test("ends what is older than its ttl, whatever runs there, and nothing else", async () => {
    await fallthru(["begin", "tiny", "--name", "old", "--ttl", "6"]);
    const isOver = new Promise((done) => setTimeout(done, 6000));
    await fallthru(["begin", "tiny", "--name", "young", "--ttl", "1h"]);
    await fallthru(["begin", "tiny", "--name", "ageless"]);
    const child = startFallthru(["run", "@old", "--", "sleep", "1009"]);
    const ended = new Promise((done) => child.once("close", (_, signal) => done(signal)));
    expect((await fallthru(["gc"])).stdout).toBe("");
    await untilRuns("sleep 1009");
    await isOver;
    expect((await fallthru(["list"])).stdout).toMatch(/^old +tiny +open +\d+s +over$/m);
    expect(await fallthru(["gc"])).toEqual({ status: 0, signal: null, stdout: "ended old\n", stderr: "" });
    expect(await ended).toBe("SIGKILL");
    expect((await list()).map(({ id }) => id)).toEqual(["young", "ageless"]);
  });

  test("also of a session that the machine's restart has unmounted", async () => {
    await fallthru(["begin", "tiny", "--name", "old", "--ttl", "1"]);
    sh("umount -l /run/fallthru/mount/old/old");
    expect((await list())[0]?.state).toBe("unmounted");
    const lost = await fallthru(["run", "@old", "--", "true"]);
    expect([lost.status, lost.stderr]).toEqual([
      125,
      expect.stringMatching(/^fallthru: session old isn't mounted: .*\nhint: mount it again: fallthru recover\n$/),
    ]);
    await new Promise((done) => setTimeout(done, 1000));
    expect((await fallthru(["gc", "--json"])).stdout).toContain('"old"');
  });
});

describe("end", () => {
  test("of several goes on after one that isn't there", async () => {
    for (const id of ["a", "b"]) await fallthru(["begin", "tiny", "--name", id]);
    const { status, stdout, stderr } = await fallthru(["end", "@a", "nowhere", "b"]);
    expect([status, stdout, stderr]).toEqual([
      3,
      "ended a\nended b\n",
      expect.stringMatching(/^fallthru: no session nowhere\n/),
    ]);
  });

  test("deletes what a session has made, however odd, and nothing that it points to", async () => {
    const outside = temporaryDirectory("outside");
    writeFileSync(join(outside, "precious"), "");
    await fallthru(["begin", "tiny", "--name", "odd", "--bind", `${outside}:/shared`]);
    const script = `
      ln -s ${outside} /out; ln -s /shared /in; ln /bin/busybox /hard; mkdir -p $(printf '/\\377/\\n /') ; mkfifo /p; mknod /d c 1 3
      i=0; d=/deep; while [ $i -lt 250 ]; do d=$d/x; i=$((i + 1)); done; mkdir -p $d; touch $d/file
      chmod 0 /deep; touch /etc/marked`;
    expect((await fallthru(["run", "@odd", "--", "sh", "-c", script])).stderr).toBe("");
    sh(
      "chattr +i /var/lib/fallthru/sessions/odd/layers/0/upper/etc/marked; chattr +a /var/lib/fallthru/sessions/odd/layers/0/upper/etc",
    );
    expect((await fallthru(["end", "odd"])).stderr).toBe("");
    expect(readdirSync(outside)).toEqual(["precious"]);
  });

  test("stops at a mount in the layers with its name, and goes on when it is gone", async () => {
    const outside = temporaryDirectory("outside");
    writeFileSync(join(outside, "precious"), "");
    await fallthru(["begin", "tiny", "--name", "stuck"]);
    const point = "/var/lib/fallthru/sessions/stuck/layers/0/upper/point";
    mkdirSync(point);
    sh(`mount --bind ${outside} ${point}`);
    try {
      const { status, stderr } = await fallthru(["end", "stuck"]);
      expect([status, stderr]).toEqual([
        4,
        `fallthru: something is mounted on ${point}, which is to be deleted\nhint: unmount it first: umount ${point}\n`,
      ]);
      expect((await list()).map(({ id, state }) => [id, state])).toEqual([["stuck", "leftover"]]);
      const other = await fallthru(["run", "tiny", "--", "true"]);
      expect([other.status, other.stderr]).toEqual([
        0,
        expect.stringMatching(/^fallthru: warning: session stuck .* can't be cleared away: something is mounted on /),
      ]);
    } finally {
      sh(`umount ${point}`);
    }
    expect(readdirSync(outside)).toEqual(["precious"]);
    expect((await fallthru(["end", "stuck"])).stdout).toBe("ended stuck\n");
  });

  test("kills what moved its root into a file system of its own in a mount name space of its own", async () => {
    await fallthru(["begin", "host", "--name", "moved"]);
    const script =
      "mkdir /n; mount -t tmpfs tmpfs /n; mkdir /n/usr /n/old; mount --bind /usr /n/usr; for l in bin lib lib64; do ln -s usr/$l /n/$l; done; cd /n; pivot_root . old; umount -l /old; exec /bin/sleep 1010";
    const child = spawn(executable, ["run", "@moved", "--", "unshare", "-m", "sh", "-c", script], { stdio: "ignore" });
    const ended = new Promise((done) => child.once("close", (_, signal) => done(signal)));
    await untilRuns("/bin/sleep 1010");
    expect((await fallthru(["end", "moved"])).stdout).toMatch(/^ended moved, killed 1 process\n$/);
    expect(await ended).toBe("SIGTERM");
  });

  test("leaves alone who only has copies of its mounts", async () => {
    await fallthru(["begin", "tiny", "--name", "copied"]);
    const child = spawn("unshare", ["-m", "--propagation", "private", "sleep", "1011"], {
      stdio: "ignore",
      env: { ...process.env, FALLTHRU_SESSION: "copied" },
    });
    const inside = spawn(
      "unshare",
      [
        "-m",
        "sh",
        "-c",
        "mkdir -p /tmp/n-$$; mount --rbind / /tmp/n-$$; cd /tmp/n-$$; pivot_root . mnt; umount -l /mnt; exec sleep 1011",
      ],
      { stdio: "ignore" },
    );
    const ends = [child, inside].map((each) => new Promise((done) => each.once("close", (_, signal) => done(signal))));
    await new Promise((done) => setTimeout(done, 300));
    expect((await fallthru(["end", "copied"])).stdout).toBe("ended copied\n");
    for (const each of [child, inside]) {
      expect(each.exitCode).toBeNull();
      each.kill("SIGTERM");
    }
    expect(await Promise.all(ends)).toEqual(["SIGTERM", "SIGTERM"]);
    sh("rm -rf /tmp/n-*");
  });
});
