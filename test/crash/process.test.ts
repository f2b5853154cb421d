// deadline: 240
// Processes that are killed, that stay, that hide, and several commands at once.
import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, startFallthru } from "../support/fallthru.ts";
import { leftovers, leftoversAfter, type Traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import {
  beginMarked,
  beginUnmounted,
  describeMarked,
  expectUsable,
  expectWholeOrGone,
  restart,
  settle,
  stateOf,
} from "./session.ts";

let before: Traces;

beforeAll(async () => {
  before = await settle(describeMarked);
});

afterEach(async () => {
  expect(await leftoversAfter(before)).toEqual([]);
});

const mountPoint = "/run/fallthru/mount/x/x";

/** Starts something and waits until it has said `up`. */
async function startUp(args: readonly string[]): Promise<ChildProcess> {
  const child = startFallthru(args);
  await new Promise((up) => child.stdout?.once("data", up));
  return child;
}

/** Unless it has ended before: then nobody would tell of it any more. */
async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.once("exit", done));
  child.kill("SIGKILL");
  await gone;
}

const busy = ["sh", "-c", "(sleep 100 & sleep 101) & setsid sleep 102 & echo up; sleep 103"];

describe("kill -9 of a run alone, while its command and its children go on", () => {
  const next = {
    begin: ["begin", "tiny", "--name", "y"],
    run: ["run", "tiny", "--", "true"],
    recover: ["recover"],
    gc: ["gc"],
  };
  for (const [name, args] of Object.entries(next)) {
    for (const options of [[], ["--pid-namespace"], ["--memory", "100M"]]) {
      test(`run ${options.join(" ")} is cleared away by ${name}`, async () => {
        await kill(await startUp(["run", "tiny", ...options, "--", ...busy]));
        expect(await fallthru(args)).toMatchObject({ status: 0, stderr: "" });
        if (name === "begin") await fallthru(["end", "y"]);
      });
    }
  }

  test("also where the pid name space is just being made", async () => {
    for (let moment = 0; moment < 60; moment += 3) {
      const child = startFallthru(["run", "tiny", "--pid-namespace", "--", "sleep", "100"]);
      await sleep(moment);
      await kill(child);
      await fallthru(["recover"]);
      expect({ moment, left: await leftoversAfter(before) }).toEqual({ moment, left: [] });
    }
  });

  test("in a named session ends with the session", async () => {
    await beginMarked("x");
    await kill(await startUp(["run", "@x", "--pid-namespace", "--", ...busy]));
    expect(await fallthru(["recover"])).toMatchObject({ status: 0, stdout: "" });
    await expectUsable("x");
    expect(await fallthru(["end", "x"])).toMatchObject({ status: 0, stderr: "" });
  });

  test("while the session that it enters is ended", async () => {
    for (let moment = 0; moment < 40; moment += 2) {
      await beginMarked("x");
      const child = startFallthru([
        "run",
        "@x",
        ...(moment % 4 === 0 ? ["--pid-namespace"] : []),
        "--",
        "sleep",
        "100",
      ]);
      const gone = new Promise((done) => child.once("exit", done));
      await sleep(moment);
      expect(await fallthru(["end", "x"])).toMatchObject({ status: 0, stderr: "" });
      await gone;
      expect({ moment, left: await leftoversAfter(before) }).toEqual({ moment, left: [] });
    }
  });
});

test("an end that is killed while it deletes 20,000 files is gone on with", async () => {
  const many =
    "mkdir -p /many; cd /many; i=0; while [ $i -lt 200 ]; do mkdir $i; cd $i; touch $(seq 1 100); cd ..; i=$((i+1)); done";
  for (const moment of [15, 40, 80, 140]) {
    await beginMarked("x");
    expect(await fallthru(["run", "@x", "--", "sh", "-c", many])).toMatchObject({ status: 0 });
    const child = startFallthru(["end", "x"]);
    await sleep(moment);
    await kill(child);
    await expectWholeOrGone("x", before);
  }
});

describe("an end takes everything along:", () => {
  const inside = async (name: string, command: readonly string[], expected: RegExp): Promise<void> => {
    await beginMarked("x");
    await startUp(["run", "@x", "--", "sh", "-c", `${command.join(" ")} & echo up`]);
    await sleep(50);
    const ended = await fallthru(["end", "x"]);
    expect({ name, ...ended }).toMatchObject({ name, status: 0, stderr: "" });
    expect(ended.stdout).toMatch(expected);
  };

  test("daemons that ignore every signal that they can", async () => {
    await inside("deaf", ["(trap '' TERM HUP INT; sleep 100)"], /killed \d/);
  });

  test("a process that is chrooted deeper", async () => {
    const deeper = "mkdir -p /deep/bin; cp /bin/busybox /deep/bin; chroot /deep /bin/busybox sleep 100";
    await inside("deeper", [`(${deeper})`], /killed \d/);
  });

  test("a process in a mount name space of its own, whose root is elsewhere", async () => {
    await inside(
      "moved",
      ["unshare -m sh -c 'mkdir -p /n; mount --rbind / /n; cd /n; pivot_root . mnt; exec sleep 100'"],
      /killed \d/,
    );
  });

  test("mounts that were made inside", async () => {
    await inside(
      "mounts",
      ["(mount -t tmpfs none /mnt; mount --bind /bin /home; mkdir /mnt/a; mount -t tmpfs none /mnt/a)"],
      /ended/,
    );
  });

  test("and a shell of the host's that stands inside stays where nothing is", async () => {
    await beginMarked("x");
    const shell = spawn("sh", ["-c", "echo up; read line; ls"], { cwd: `${mountPoint}/etc`, stdio: "pipe" });
    await new Promise((up) => shell.stdout.once("data", up));
    expect(await fallthru(["end", "x"])).toMatchObject({
      status: 0,
      stdout: "ended x\n",
      stderr: `fallthru: warning: process ${shell.pid} (sh -c echo up; read line; ls) stands in a directory of the session x, which is gone\n`,
    });
    expect(existsSync(mountPoint)).toBe(false);
    const closed = new Promise((done) => shell.once("close", done));
    shell.stdin.end("\n");
    await closed;
  });

  test("processes that are chrooted into what is mounted inside", async () => {
    const tmpfs = "mkdir -p /t; mount -t tmpfs none /t; mkdir /t/bin; cp /bin/busybox /t/bin";
    await inside("mounted", [`(${tmpfs}; chroot /t /bin/busybox sleep 100)`], /killed \d/);
  });

  test("but no process of another session of the same name", async () => {
    expect(await fallthru(["begin", "--name", "outer"])).toMatchObject({ status: 0 });
    await beginMarked("x");
    await startUp(["run", "@x", "--", "sh", "-c", "sleep 100 & echo up"]);
    const inner = `${executable} begin tiny --name x --upper tmpfs && ${executable} run @x -- sleep 0 && ${executable} end x`;
    expect(await fallthru(["run", "@outer", "--", "sh", "-c", inner])).toMatchObject({
      status: 0,
      stdout: "x\nended x\n",
      stderr: "",
    });
    expect(await fallthru(["end", "outer", "x"])).toMatchObject({
      status: 0,
      stdout: "ended outer\nended x, killed 1 process\n",
    });
  });

  test("processes that fork faster than one can look at them", async () => {
    for (const pause of ["", "select undef, undef, undef, 0.0005"]) {
      expect(await fallthru(["begin", "--name", "x"])).toMatchObject({ status: 0 });
      const respawn = `$0 = "respawned"; while (1) { $p = fork; exit if $p or !defined $p; ${pause} }`;
      const child = startFallthru(["run", "@x", "--", "perl", "-e", respawn], { stdio: "ignore" });
      await new Promise((done) => child.once("exit", done));
      await sleep(20);
      expect(await fallthru(["end", "x"])).toMatchObject({ status: 0, stderr: "" });
      expect(respawned()).toEqual([]);
      expect(leftovers(before)).toEqual([]);
    }
  });
});

function respawned(): string[] {
  return [1, 2, 3, 4, 5].flatMap(() => leftovers(before).filter((trace) => trace.includes("respawned")));
}

describe("processes inside have the time to end by themselves", () => {
  const shared = temporaryDirectory("shared");
  const asked = `${shared}/asked`;
  /** One that notes that it was asked to end, and a stopped one. */
  const notes = "trap 'echo asked >/shared/asked; exit' TERM; echo up; while :; do sleep 0.01; done";
  const start = async (script: string): Promise<void> => {
    rmSync(asked, { force: true });
    await beginMarked("x", ["--bind", `${shared}:/shared`]);
    await startUp(["run", "@x", "--", "sh", "-c", script]);
  };

  test("at an end, also where they are stopped", async () => {
    await start(notes);
    await startUp(["run", "@x", "--", "sh", "-c", "sleep 100 & kill -STOP $!; echo up"]);
    expect(await fallthru(["end", "x"])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^ended x, killed [234] processes\n$/) as string,
    });
    expect(existsSync(asked)).toBe(true);
  });

  test("not with --force", async () => {
    await start(notes);
    expect(await fallthru(["end", "--force", "x"])).toMatchObject({ status: 0, stderr: "" });
    expect(existsSync(asked)).toBe(false);
  });

  test("when the command of an automatic session leaves them behind", async () => {
    rmSync(asked, { force: true });
    const result = await fallthru([
      "run",
      "tiny",
      "--bind",
      `${shared}:/shared`,
      "--",
      "sh",
      "-c",
      `(${notes}) >/shared/up 2>/dev/null & until [ -s /shared/up ]; do sleep 0.01; done`,
    ]);
    expect(result).toMatchObject({ status: 0, stderr: "" });
    expect(existsSync(asked)).toBe(true);
  });
});

describe("a command that somebody else waits for", () => {
  /** Runs it below a shell of its own, as another terminal does. */
  const startElsewhere = async (options: string): Promise<ChildProcess> => {
    const other = spawn("sh", ["-c", `${executable} run @x ${options} -- sh -c 'echo up; exec sleep 100'; exit 7`]);
    await new Promise((up) => other.stdout.once("data", up));
    return other;
  };

  for (const options of ["", "--pid-namespace"]) {
    test(`isn't ended without --force ${options}`, async () => {
      await beginMarked("x");
      const other = await startElsewhere(options);
      const status = new Promise((done) => other.once("exit", done));
      expect(await fallthru(["end", "x"])).toMatchObject({
        status: 4,
        stdout: "",
        stderr: expect.stringMatching(
          /^fallthru: somebody's command runs in session x: \d+ \(.*sleep 100\).*\nhint: end it and the session: fallthru end --force @x\n$/,
        ) as string,
      });
      await expectUsable("x");
      expect(await fallthru(["end", "--force", "x"])).toMatchObject({ status: 0, stderr: "" });
      expect(await status).toBe(7);
    });
  }

  test("counts no more when it is left behind", async () => {
    await beginMarked("x");
    const other = await startElsewhere("");
    await kill(other);
    expect(await fallthru(["end", "x"])).toMatchObject({ status: 0, stdout: "ended x, killed 1 process\n" });
  });
});

describe("at once:", () => {
  test("of five ends one ends the session, and the others say that it is gone", async () => {
    await beginMarked("x");
    const ends = await Promise.all([1, 2, 3, 4, 5].map(() => fallthru(["end", "x"])));
    expect(ends.map(({ status }) => status ?? -1).toSorted((a, b) => a - b)).toEqual([0, 3, 3, 3, 3]);
    for (const { status, stderr } of ends) if (status === 3) expect(stderr).toStartWith("fallthru: no session x\n");
  });

  test("of five begins of one name one makes the session", async () => {
    const begins = await Promise.all([1, 2, 3, 4, 5].map(() => fallthru(["begin", "tiny", "--name", "x"])));
    expect(begins.map(({ status }) => status ?? -1).toSorted((a, b) => a - b)).toEqual([0, 5, 5, 5, 5]);
    await expectUsable("x");
    await fallthru(["end", "x"]);
  });

  test("an end and the command that runs there", async () => {
    await beginMarked("x");
    const runner = await startUp(["run", "@x", "--", "sh", "-c", "echo up; sleep 100"]);
    const signal = new Promise((done) => runner.once("exit", (_status, by) => done(by)));
    expect(await fallthru(["end", "x"])).toMatchObject({
      status: 0,
      stdout: expect.stringContaining("killed") as string,
    });
    expect(await signal).toBe("SIGTERM");
  });

  test("two recovers mount each session once", async () => {
    const ids = ["a", "b", "c", "d", "e", "f"];
    for (const id of ids) await beginUnmounted(id);
    mkdirSync("/var/lib/fallthru/sessions/half/layers", { recursive: true });
    const both = await Promise.all([fallthru(["recover", "--json"]), fallthru(["recover", "--json"])]);
    const reports = both.map(
      ({ stdout }) => JSON.parse(stdout) as { recovered: string[]; removed: string[]; lost: [] },
    );
    expect(reports.flatMap(({ recovered }) => recovered).toSorted()).toEqual(ids);
    expect(reports.flatMap(({ removed }) => removed)).toEqual(["half"]);
    expect(reports.flatMap(({ lost }) => lost)).toEqual([]);
    for (const id of ids) {
      expect(await stateOf(id)).toBe("open");
      await expectUsable(id);
    }
    expect(await fallthru(["end", ...ids])).toMatchObject({ status: 0 });
  });
});

describe("after a restart of the machine", () => {
  test("recover mounts the sessions again, with what was changed in them", async () => {
    await beginMarked("x");
    await fallthru(["run", "@x", "--", "sh", "-c", "echo kept > /kept; rm /etc/group; mkdir /new"]);
    restart();
    expect(await stateOf("x")).toBe("unmounted");
    const early = await fallthru(["run", "@x", "--", "true"]);
    expect(early).toMatchObject({ status: 125, stderr: expect.stringContaining("fallthru recover") as string });
    expect(await fallthru(["recover"])).toMatchObject({ status: 0, stdout: "recovered x\n" });
    expect(await fallthru(["run", "@x", "--", "sh", "-c", "cat /kept; ls -d /new /proc/self"])).toMatchObject({
      status: 0,
      stdout: "kept\n/new\n/proc/self\n",
    });
    await fallthru(["end", "x"]);
  });

  test("a session in memory is ended, and named", async () => {
    await beginMarked("x", ["--upper", "tmpfs"]);
    restart();
    const { status, stdout } = await fallthru(["recover"]);
    expect({ status, stdout }).toMatchObject({ status: 1, stdout: expect.stringContaining("lost x: ") as string });
    expect(await stateOf("x")).toBeUndefined();
  });

  test("a session whose chroot has gone is lost, not deleted; it comes back with the chroot, and can be ended", async () => {
    const root = tinyRoot();
    const away = `${temporaryDirectory("away")}/root`;
    describeChroot("moving", root);
    expect(await fallthru(["begin", "moving", "--name", "x"])).toMatchObject({ status: 0 });
    rmSync("/etc/schroot/chroot.d/moving.conf");
    expect(await fallthru(["run", "@x", "--", "touch", "/new"])).toMatchObject({ status: 0 });
    restart();
    renameSync(root, away);
    const lost = await fallthru(["recover"]);
    expect(lost.status).toBe(1);
    expect(lost.stdout).toContain(root);
    expect(await stateOf("x")).toBe("unmounted");
    renameSync(away, root);
    expect(await fallthru(["recover"])).toMatchObject({ status: 0, stdout: "recovered x\n" });
    expect(await fallthru(["run", "@x", "--", "ls", "/new"])).toMatchObject({ status: 0 });
    restart();
    renameSync(root, away);
    expect(await fallthru(["end", "x"])).toMatchObject({ status: 0 });
  });
});
