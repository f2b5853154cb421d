// --memory, --cpus and --pids: that they bite, and what is left of them.
import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { cgroups } from "../support/cgroup.ts";
import { describeChroot } from "../support/directories.ts";
import { executable, fallthru, run, startFallthru } from "../support/fallthru.ts";
import { leftoversAfter, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";

describeChroot("tiny", tinyRoot(), ["profile=fallthru"]);
const before = traces();
afterEach(async () => {
  await fallthru(["end", "s"]);
  expect(await leftoversAfter(before)).toEqual([]);
});

/** In a session of its own, in a named one, and in pid name spaces. */
const ways = [
  { name: "an automatic session", begin: false, options: [] },
  { name: "a named session", begin: true, options: [] },
  { name: "an automatic session's pid name space", begin: false, options: ["--pid-namespace"] },
  { name: "a named session's pid name space", begin: true, options: ["--pid-namespace"] },
];
async function runLimited(way: (typeof ways)[number], limits: readonly string[], script: string) {
  if (way.begin) expect((await fallthru(["begin", "tiny", "--name", "s", ...limits])).stderr).toBe("");
  const source = way.begin ? ["@s"] : ["tiny", ...limits];
  return fallthru(["run", ...source, ...way.options, "--", "sh", "-c", script], { timeoutMs: 60_000 });
}

for (const way of ways) {
  describe(way.name, () => {
    test("--memory: who takes more is killed, and only they", async () => {
      // busybox's awk holds what it doubles; the shell around it goes on.
      const eat = `awk 'BEGIN { s = "xxxxxxxxxxxxxxxx"; while (length(s) < 200000000) s = s s; print "ate" }'`;
      const result = await runLimited(way, ["--memory", "32M"], `${eat}; echo status $?`);
      expect(result).toEqual(expect.objectContaining({ status: 0, stdout: "status 137\n" }) as typeof result);
      expect((await fallthru(["run", "tiny", "--", "sh", "-c", eat])).stdout).toBe("ate\n");
    });

    test("--pids: a fork bomb is stopped", async () => {
      const bomb = "i=0; while [ $i -lt 50 ]; do sleep 5 >/dev/null 2>&1 & i=$((i + 1)); done; echo never";
      const result = await runLimited(way, ["--pids", "10", "--bind", "/dev/null"], bomb);
      expect(result).toEqual({
        status: 2,
        signal: null,
        stdout: "",
        stderr: expect.stringContaining("can't fork") as string,
      });
    });

    test("--pids 1 lets one process run", async () => {
      const result = await runLimited(way, ["--pids", "1"], "echo one");
      expect(result).toEqual({ status: 0, signal: null, stdout: "one\n", stderr: "" });
    });

    test("--cpus: a busy loop gets that much time", async () => {
      const result = await runLimited(
        way,
        ["--cpus", "0.2"],
        "timeout 1 sh -c 'while :; do :; done'; cat /proc/self/stat >/dev/null; times",
      );
      // times: the shell's own, then its children's; 1 s of wall time at a fifth of a core.
      const [minutes, seconds] = (/\n(\d+)m([\d.]+)s/.exec(result.stdout) ?? []).slice(1).map(Number);
      const used = (minutes ?? 0) * 60 + (seconds ?? 0);
      expect(used).toBeGreaterThan(0.05);
      expect(used).toBeLessThan(0.5);
    });
  });
}

test("all processes of a session share its limits", async () => {
  await fallthru(["begin", "tiny", "--name", "s", "--pids", "6", "--bind", "/dev/null"]);
  const first = run([executable, "run", "@s", "--", "sh", "-c", "sleep 3 & sleep 3 & sleep 3 & wait"]);
  await new Promise((done) => setTimeout(done, 300));
  const { stderr } = await fallthru(["run", "@s", "--", "sh", "-c", "sleep 1 & sleep 1 & sleep 1 & sleep 1"]);
  expect(stderr).toContain("can't fork");
  await fallthru(["end", "s"]);
  await first;
});

test("run is back in its own groups while the command goes on, and others' groups aren't touched", async () => {
  const own = readFileSync("/proc/self/cgroup", "utf8");
  const script = "cat /proc/self/cgroup; read wait";
  const child = startFallthru(["run", "tiny", "--pids", "50", "--memory", "100M", "--", "sh", "-c", script]);
  const ended = new Promise((done) => child.on("close", done));
  let inside = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (inside += text));
  while (!inside.includes("0::")) await new Promise((done) => setTimeout(done, 10));
  // It goes back when the command has been started, which may have said something by then.
  const groups = () => readFileSync(`/proc/${child.pid}/cgroup`, "utf8");
  for (const deadline = Date.now() + 3000; groups() !== own && Date.now() < deadline;)
    await new Promise((done) => setTimeout(done, 10));
  expect(groups()).toBe(own);
  child.stdin?.end();
  await ended;
  expect(inside).toMatch(/:pids:\/fallthru\/tiny-\w+\n/);
  expect(inside).toMatch(/:memory:\/fallthru\/tiny-\w+\n/);
  expect(inside).not.toMatch(/:cpu:\/fallthru/);
  expect(cgroups().filter((path) => path.includes("fallthru/"))).toEqual([]);
});

test("info says what was asked for", async () => {
  await fallthru(["begin", "tiny", "--name", "s", "--pids", "50", "--memory", "1.5G", "--cpus", "1.5"]);
  const info = JSON.parse((await fallthru(["info", "@s", "--json"])).stdout) as { limits: unknown };
  expect(info.limits).toEqual({ memoryBytes: 1.5 * 2 ** 30, cpus: 1.5, pids: 50 });
});

test("limits that the kernel refuses, and controllers that aren't there, leave nothing", async () => {
  const tooMany = await fallthru(["run", "tiny", "--pids", "99999999999", "--", "true"]);
  expect([tooMany.status, tooMany.stdout]).toEqual([125, ""]);
  const script = `mount -t tmpfs tmpfs /sys/fs/cgroup; exec ${executable} begin tiny --name s --memory 1G`;
  const none = await run(["unshare", "--mount", "sh", "-c", script]);
  expect([none.status, none.stderr]).toEqual([
    7,
    expect.stringMatching(/^fallthru: no cgroup memory controller here.*\nhint: mount cgroup 2/),
  ]);
});
