import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { processesIn } from "../support/cgroup.ts";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";
import { tinyRoot } from "../support/roots.ts";

/** Sessions on our own union instead of the kernel's overlayfs. */

async function begin(name: string, ...options: string[]): Promise<void> {
  describeChroot(name, tinyRoot(), ["union-type=fallthru"]);
  const begun = await fallthru(["begin", name, "--name", name, ...options]);
  expect([begun.stderr, begun.status]).toEqual(["", 0]);
}

async function inside(name: string, script: string): Promise<string> {
  const { stdout, stderr, status } = await fallthru(["run", `@${name}`, "--", "sh", "-c", script]);
  expect([stderr, status]).toEqual(["", 0]);
  return stdout;
}

/** The processes of this test's own unions: what holds the mount, and what answers for it. */
function serversAndHolders(): { servers: number[]; holders: number[] } {
  const words = (pid: number): string[] => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    } catch {
      return []; // It has just ended.
    }
  };
  const which = (fits: (line: string[]) => boolean) => processesIn().filter((pid) => fits(words(pid)));
  return {
    servers: which(([file, verb]) => file === executable && verb === "serve"),
    holders: which((line) => line.includes("fallthru-holder")),
  };
}

test("a chroot with union-type=fallthru gets sessions on our own union, and they end whole", async () => {
  await begin("own");
  expect(await inside("own", "echo kept > /root/x; rm /etc/group; grep ' / ' /proc/mounts")).toContain("fuse.fallthru");
  expect(await inside("own", "cat /root/x; ls /etc/group 2>&1 || echo gone")).toMatch(/^kept\n.*\ngone\n$/s);
  const shown: unknown = JSON.parse((await fallthru(["info", "@own", "--json"])).stdout);
  expect(shown).toMatchObject({ state: "open", unions: [{ path: "/" }] });
  expect((await fallthru(["end", "own"])).status).toBe(0);
  const end = performance.now() + 30_000;
  const count = () => Object.values(serversAndHolders()).flat().length;
  while (count() > 0 && performance.now() < end) await sleep(10);
  expect(serversAndHolders()).toEqual({ servers: [], holders: [] });
});

test("run --union fallthru serves a whole automatic session and leaves nothing", async () => {
  describeChroot("once", tinyRoot());
  const ran = await fallthru(["run", "once", "--union", "fallthru", "--", "sh", "-c", "rm -rf /etc /bin/ls; exit 7"]);
  expect([ran.stdout, ran.stderr, ran.status]).toEqual(["", "", 7]);
});

test("a session outlives its union's server, and comes back where the holder was killed too", async () => {
  await begin("killed");
  await inside("killed", "echo kept > /root/x");
  for (const pid of serversAndHolders().servers) process.kill(pid, "SIGKILL");
  expect(await inside("killed", "cat /root/x")).toBe("kept\n");
  const { servers, holders } = serversAndHolders();
  for (const pid of [...holders, ...servers]) process.kill(pid, "SIGKILL");
  await sleep(50);
  const refused = await fallthru(["run", "@killed", "--", "true"]);
  expect([refused.status, refused.stderr]).toEqual([125, expect.stringContaining("fallthru recover")]);
  expect((await fallthru(["list"])).stdout).toMatch(/^killed +killed +unmounted /m);
  expect((await fallthru(["recover"])).stdout).toBe("recovered killed\n");
  expect(await inside("killed", "cat /root/x")).toBe("kept\n");
  expect((await fallthru(["end", "killed"])).status).toBe(0);
});

test("--union auto takes ours where overlayfs can't have its upper; --union overlay says how to go on", async () => {
  describeChroot("auto", tinyRoot());
  const base = temporaryDirectory("overlay");
  const made = await run([
    "sh",
    "-ec",
    'cd "$0"; mkdir l u w m; mount -t overlay -o lowerdir=l,upperdir=u,workdir=w o m; mkdir m/up',
    base,
  ]);
  expect([made.stderr, made.status]).toEqual(["", 0]);
  const upper = `${base}/m/up`;
  const refused = await fallthru(["run", "auto", "--upper", upper, "--", "true"]);
  expect([refused.status, refused.stderr]).toEqual([125, expect.stringContaining("--union fallthru")]);
  const ran = await fallthru([
    "run",
    "auto",
    "--upper",
    upper,
    "--union",
    "auto",
    "--",
    "sh",
    "-c",
    "echo a >/b; cat /b",
  ]);
  expect([ran.stdout, ran.stderr, ran.status]).toEqual(["a\n", "", 0]);
  expect(readdirSync(upper)).toEqual([]);
  await run(["umount", "-l", `${base}/m`]);
});
