// Signals that reach only `run`, commands that detach, and what a pid name space shows and ends.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { describeChroot } from "../support/directories.ts";
import { executable, fallthru, run, startFallthru } from "../support/fallthru.ts";
import { leftoversAfter, running, traces, untilRuns } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";

const root = tinyRoot();

beforeAll(async () => {
  describeChroot("tiny", root, ["profile=fallthru"]);
  expect((await fallthru(["begin", "tiny", "--name", "named", "--bind", "/dev/null"])).stderr).toBe("");
});
afterAll(async () => fallthru(["end", "named"]));

/** Starts it and waits until its command says that it is up. */
async function startUp(
  args: readonly string[],
): Promise<{ child: ChildProcess; ended: Promise<unknown>; output: () => string }> {
  const child = startFallthru(args);
  let output = "";
  const ended = new Promise((done) => child.on("close", (status, signal) => done([status, signal])));
  await new Promise<void>((up) =>
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (output.includes("up\n")) up();
    }),
  );
  return { child, ended, output: () => output };
}

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  for (let tries = 0; tries < 3000; tries++) {
    if (await holds()) return;
    await pause(10);
  }
  throw new Error(`not within 30 s: ${String(holds)}`);
};

const stateOf = (pid: number) => /^State:\t(\w)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];

const deadly = [
  ["SIGTERM", 143],
  ["SIGHUP", 129],
  ["SIGINT", 130],
  ["SIGQUIT", 131],
  ["SIGUSR1", 138],
  ["SIGUSR2", 140],
] as const;

for (const way of ["run tiny", "run", "run tiny --pid-namespace", "run @named --pid-namespace"]) {
  describe(`fallthru ${way}`, () => {
    test("hands signals on, ends with the command, and leaves nothing", async () => {
      const before = traces();
      for (const [signal, status] of deadly) {
        const { child, ended } = await startUp([
          ...way.split(" "),
          "--",
          "/bin/busybox",
          "sh",
          "-c",
          "echo up; exec sleep 1002",
        ]);
        await untilRuns("sleep 1002"); // busybox's shell loses signals at the moment of exec(2)
        child.kill(signal);
        expect([signal, await ended]).toEqual([signal, [status, null]]);
      }
      expect(await leftoversAfter(before)).toEqual([]);
    });

    test("waits for a command that handles them", async () => {
      const script = "trap 'echo term' TERM; trap 'echo hup' HUP; echo up; while :; do sleep 0.1; done";
      const { child, ended, output } = await startUp([...way.split(" "), "--", "/bin/busybox", "sh", "-c", script]);
      child.kill("SIGTERM");
      await until(() => output().includes("term\n"));
      child.kill("SIGHUP");
      await until(() => output().includes("hup\n"));
      child.kill("SIGUSR1");
      expect(await ended).toEqual([138, null]);
    });

    test("stops with the command, and wakes it", async () => {
      const script = "echo up; kill -STOP $$; echo awake; kill -TSTP $$; exit 4";
      const { child, ended, output } = await startUp([...way.split(" "), "--", "/bin/busybox", "sh", "-c", script]);
      await until(() => stateOf(child.pid ?? 0) === "T");
      child.kill("SIGCONT");
      await until(() => output().includes("awake\n"));
      // Without job control around it, the group is orphaned or not as ours is: SIGTSTP stops it only where ours would be.
      await until(() => child.exitCode !== null || stateOf(child.pid ?? 0) === "T");
      child.kill("SIGCONT");
      expect(await ended).toEqual([4, null]);
    });
  });
}

test("a signal before the command starts ends an automatic session, which leaves nothing", async () => {
  const before = traces();
  for (const delayMs of [6, 8, 10, 12, 14, 16, 18, 20, 22, 25]) {
    const child = startFallthru(["run", "tiny", "--", "sleep", "1003"]);
    const ended = new Promise((done) => child.on("close", (status, signal) => done(status ?? signal)));
    await pause(delayMs);
    child.kill("SIGTERM");
    // Before our own code runs, it is the program's start that ends.
    expect([143, "SIGTERM"]).toContain((await ended) as number | string);
    expect(await leftoversAfter(before)).toEqual([]);
  }
});

test("what detaches from a command goes on in a named session, and ends with an automatic one", async () => {
  for (const detach of ["setsid sleep 1004 &", "(trap '' HUP; exec sleep 1004) &", "(sleep 1004 &) &"]) {
    const words = ["--", "/bin/sh", "-c", `${detach} exit 0`];
    const script = `exec ${executable} run @named -- /bin/sh -c "$SCRIPT" </dev/null >/dev/null 2>&1`;
    expect((await run(["sh", "-c", script], { env: { SCRIPT: words.at(-1) } })).status).toBe(0);
    const id = await untilRuns("sleep 1004");
    process.kill(id);
    const { status } = await fallthru(["run", "tiny", "--bind", "/dev/null", ...words]);
    expect(status).toBe(0);
    await until(() => running("sleep 1004").length === 0);
  }
});

test("run from a script in the background, its input is what the shell gives it", async () => {
  const script = `${executable} run tiny -- /bin/sh -c 'read x || echo no input; echo done' & wait $!; echo $?`;
  expect((await run(["sh", "-c", script], { input: "never read\n" })).stdout).toBe("no input\ndone\n0\n");
});

describe("--pid-namespace", () => {
  for (const source of ["tiny", "@named", "host"]) {
    test(`shows only its own processes (${source})`, async () => {
      const script =
        "echo $$ $PPID; for p in /proc/[0-9]*; do echo ${p#/proc/}; done; cat /proc/1/comm; readlink /proc/self";
      const { stdout, stderr } = await fallthru([
        "run",
        source,
        "--pid-namespace",
        "--",
        "/bin/busybox",
        "sh",
        "-c",
        script,
      ]);
      expect(stderr).toBe("");
      const [ids = "", ...lines] = stdout.trim().split("\n");
      const [own = "", parent = ""] = ids.split(" ");
      expect([Number(own) > 1 && Number(own) < 20, parent]).toEqual([true, "0"]);
      const processes = lines.filter((line) => /^\d+$/.test(line)).map(Number);
      expect(processes).toContain(1);
      expect(Math.max(...processes)).toBeLessThan(30);
    });
  }

  test("buries orphans", async () => {
    const script =
      "for i in 1 2 3 4 5; do (sleep 0.05 &); done; sleep 0.3; grep -l '^State:.Z' /proc/[0-9]*/status; echo end";
    const { stdout } = await fallthru(["run", "tiny", "--pid-namespace", "--", "sh", "-c", script]);
    expect(stdout).toBe("end\n");
  });

  test("ends all that is inside when the command ends, or when run is killed", async () => {
    for (const source of ["tiny", "@named"]) {
      await fallthru([
        "run",
        source,
        "--pid-namespace",
        "--",
        "sh",
        "-c",
        "setsid sleep 1005 </dev/null >/dev/null 2>&1 & sleep 0.05",
      ]);
      expect(running("sleep 1005")).toEqual([]);
      const { child, ended } = await startUp([
        "run",
        source,
        "--pid-namespace",
        "--",
        "sh",
        "-c",
        "setsid sleep 1006 & echo up; sleep 1006",
      ]);
      child.kill("SIGKILL");
      await ended;
      await until(() => running("sleep 1006").length === 0);
    }
    expect((await fallthru(["recover"])).stderr).toBe("");
  });

  test("gives no way to the host's root over its first process", async () => {
    const marker = "/etc/debian_version";
    expect(existsSync(marker)).toBe(true);
    const script = `ls /proc/1/root${marker} 2>/dev/null; ls -d /proc/1/root/bin/busybox`;
    const { stdout } = await fallthru(["run", "tiny", "--pid-namespace", "--", "sh", "-c", script]);
    expect(stdout).toBe("/proc/1/root/bin/busybox\n");
  });

  test("is left by end within a moment", async () => {
    await fallthru(["begin", "tiny", "--name", "left"]);
    const { ended } = await startUp(["run", "@left", "--pid-namespace", "--", "sh", "-c", "echo up; sleep 1007"]);
    const { status, stdout } = await fallthru(["end", "left"], { timeoutMs: 5000 });
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^ended left, killed \d process/) as string]);
    expect(await ended).toEqual([143, null]);
  });
});
