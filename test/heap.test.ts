// The executable's memory: tools/heap.ts.
import { afterAll, expect, test } from "bun:test";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { describeChroot } from "./support/directories.ts";
import { executable, fallthru, run, startFallthru } from "./support/fallthru.ts";
import { tinyRoot } from "./support/roots.ts";

afterAll(() => fallthru(["end", "--all"]));

/** What a start tells the kernel of its memory. */
async function adviceOf(env: Readonly<Record<string, string | undefined>>): Promise<string> {
  const command = ["strace", "-f", "-e", "trace=madvise", executable, "--version"];
  const { stderr, status } = await run(command, { env });
  expect(status).toBe(0);
  return stderr;
}

const isPatched = process.arch === "x64";

test("a start asks for huge pages, unless it is told not to", async () => {
  expect((await adviceOf({ MIMALLOC_ALLOW_THP: undefined })).includes(", MADV_HUGEPAGE)")).toBe(isPatched);
  expect(await adviceOf({ MIMALLOC_ALLOW_THP: "0" })).not.toContain(", MADV_HUGEPAGE)");
});

/** The processes of ours that were started with this verb. */
function processesOf(verb: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith(`${executable}\0${verb}\0`);
      } catch {
        return false; // it has just ended
      }
    });
}

/** How many of a process's mappings want huge pages. @see proc_pid_smaps(5) */
function wantsHugePages(pid: string): number {
  return readFileSync(`/proc/${pid}/smaps`, "utf8").match(/^VmFlags:.* hg\b/gm)?.length ?? 0;
}

test("what lives long takes none: a union's server, the first process of a pid name space", async () => {
  describeChroot("long", tinyRoot());
  const begun = await fallthru(["begin", "long", "--name", "long", "--union", "fallthru"]);
  expect([begun.stderr, begun.status]).toEqual(["", 0]);
  expect(processesOf("serve").map(wantsHugePages)).toEqual([0]);
  const words = ["run", "long", "--pid-namespace", "--", "sh", "-c", "echo ready; read line"];
  const inside = startFallthru(words, { stdio: ["pipe", "pipe", "inherit"] });
  try {
    const [said] = (await Promise.race([once(inside.stdout ?? inside, "data"), once(inside, "exit")])) as unknown[];
    expect(String(said)).toBe("ready\n");
    expect(processesOf("init").map(wantsHugePages)).toEqual([0]);
  } finally {
    inside.stdin?.end();
    if (inside.exitCode === null) await once(inside, "exit");
  }
});
