// What a command is as a process: as without us, but for what a session is there for.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";
import { tinyRoot } from "../support/roots.ts";

const root = tinyRoot();

beforeAll(async () => {
  describeChroot("tiny", root, ["profile=fallthru"]);
  expect((await fallthru(["begin", "tiny", "--name", "named"])).stderr).toBe("");
  expect((await fallthru(["begin", "host", "--name", "hosted"])).stderr).toBe("");
});
afterAll(async () => fallthru(["end", "named", "hosted"]));

/** Everything that /proc says of a process and that doesn't change by itself. */
const probe = [
  "grep -vE '^(Name|Tgid|Ngid|Pid|PPid|NStgid|NSpid|NSpgid|NSsid|Groups|SigQ|Vm|Rss|.*ctxt_sw)' /proc/self/status",
  "grep -v '^ *$' /proc/self/limits",
  // Process group, session, terminal and its foreground group, scheduling.
  "cut -d' ' -f5-8,18-20,40-41 /proc/self/stat",
  ...["oom_score_adj", "coredump_filter", "timerslack_ns", "personality", "cgroup"].map(
    (name) => `cat /proc/self/${name}`,
  ),
  ...["0", "1", "2"].map((number) => `grep flags /proc/self/fdinfo/${number}`),
  "for fd in /proc/self/fd/*; do echo ${fd##*/}; done",
  "umask",
].join("\n");

/** What the caller changes before it starts either. */
const surroundings =
  "umask 027; ulimit -Sn 700; ulimit -c 0; echo 300 >/proc/self/oom_score_adj; renice -n 3 $$ >/dev/null";

const ways = ["run @named", "run @hosted", "run tiny", "run", "run tiny --pid-namespace", "run @named --pid-namespace"];
for (const way of ways) {
  describe(`fallthru ${way}`, () => {
    test("leaves limits, groups, priorities and streams as they are", async () => {
      const direct = `/bin/busybox sh -c "$PROBE" </dev/null`;
      const ours = `${executable} ${way} -- ${direct}`;
      const [without = "", within = ""] = await bothIn(surroundings, direct, ours);
      // In a pid name space groups and sessions of processes outside have the number 0.
      const blind = (text: string) =>
        way.includes("pid-namespace") ? text.replaceAll(/^\d+ \d+ \d+ -?\d+ /gm, "") : text;
      expect(blind(within)).toBe(blind(without));
    });

    test("leaves no descriptor of the caller's or ours open", async () => {
      const script = `exec 3</dev/null 9</dev/null 250</dev/null; ${executable} ${way} -- /bin/busybox ls /proc/self/fd; true`;
      const { stdout } = await run(["bash", "-c", script]);
      expect(stdout.split("\n").filter((line) => line !== "")).toEqual(["0", "1", "2", "3"]); // 3 is ls's own
    });

    test("puts every signal back to its default, and blocks none", async () => {
      const signals = "--ignore-signal=HUP,INT,QUIT,PIPE,USR1,TERM,CHLD,XFSZ,RTMIN+3 --block-signal=USR2,TERM,RTMAX";
      const words = `${executable} ${way} -- /bin/busybox grep -E ^Sig.*: /proc/self/status; true`;
      const { stdout } = await run(["bash", "-c", `env ${signals} ${words}`]);
      const of = (name: string) => new RegExp(`^${name}:\\t(\\w+)$`, "m").exec(stdout)?.[1];
      expect(["SigPnd", "SigBlk", "SigIgn", "SigCgt"].map(of)).toEqual(Array(4).fill("0000000000000000"));
    });

    test("gives a user no capabilities, and the superuser all", async () => {
      const capabilities = async (user: string) => {
        const { stdout } = await fallthru([
          ...way.split(" "),
          "--user",
          user,
          "--",
          "/bin/busybox",
          "cat",
          "/proc/self/status",
        ]);
        return ["CapInh", "CapPrm", "CapEff", "CapAmb", "Uid", "Gid"].map(
          (name) => new RegExp(`^${name}:\\t(.*)$`, "m").exec(stdout)?.[1],
        );
      };
      const none = "0000000000000000";
      expect(await capabilities("65534:65534")).toEqual([none, none, none, none, ids(65534), ids(65534)]);
      const own = /^CapPrm:\t(.*)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
      expect(await capabilities("root")).toEqual([none, own, own, none, ids(0), ids(0)]);
    });
  });
}

function ids(id: number): string {
  return Array(4).fill(id).join("\t");
}

/** Two lines of shell after the same preparation, in one shell: their outputs. */
async function bothIn(preparation: string, first: string, second: string): Promise<string[]> {
  const dir = temporaryDirectory("probe");
  const outputs = ["first", "second"].map((name) => join(dir, name));
  const script = `${preparation}\n${first} >${outputs[0]} 2>&1\n${second} >${outputs[1]} 2>&1\ntrue`;
  const { status, stderr } = await run(["bash", "-c", script], { env: { PROBE: probe } });
  expect([status, stderr]).toEqual([0, ""]);
  return outputs.map((output) => readFileSync(output, "utf8"));
}

test("a named session's process becomes the command", async () => {
  const script = `${executable} run @named -- /bin/busybox sh -c 'echo $$ $PPID' & echo $! $$; wait`;
  const lines = (await run(["bash", "-c", script])).stdout.trim().split("\n");
  expect(lines[0]).toBe(lines[1] ?? "");
  expect(lines[0]).toMatch(/^\d+ \d+$/);
});

test("the environment on the host's root is the caller's, byte by byte, with the session's mark", async () => {
  const script = "export ODD=$'\\xff\\n=\\xc3\\xa9' EMPTY= USER=root LOGNAME=root; exec env -u _ dotted.name=x env -0";
  const ours = (words: string) => script.replace("dotted.name=x", `dotted.name=x ${executable} ${words} --`);
  const of = async (text: string) => {
    const { stdout } = await run(["bash", "-c", `{ ${text}; } | base64`]);
    return Buffer.from(stdout, "base64").toString("latin1").split("\0").toSorted();
  };
  const without = await of(script);
  for (const words of ["run", "run @hosted"]) {
    const within = await of(ours(words));
    expect(within.filter((line) => !line.startsWith("FALLTHRU_SESSION="))).toEqual(without);
    expect(within.filter((line) => line.startsWith("FALLTHRU_SESSION=")).length).toBe(1);
  }
});

test("the host's name and network are the host's where nothing else is said", async () => {
  expect((await fallthru(["run", "tiny", "--", "hostname"])).stdout).toBe(`${hostname()}\n`);
  const links = await run(["busybox", "ls", "/sys/class/net"]);
  expect((await fallthru(["run", "tiny", "--", "ls", "/sys/class/net"])).stdout).toBe(links.stdout);
});

test("a command gets its name spaces whenever the engine makes a thread of its own meanwhile", async () => {
  // Which function is the first to be compiled, and to need a thread for that, is another for nearly each of these: three of a hundred met such a moment.
  for (let calls = 30; calls < 55; calls += 0.25) {
    const env = { BUN_JSC_thresholdForJITAfterWarmUp: `${calls}`, BUN_JSC_thresholdForJITSoon: `${calls}` };
    const { status, signal, stderr } = await fallthru(["run", "--pid-namespace", "--", "true"], { env });
    expect([calls, status, signal, stderr]).toEqual([calls, 0, null, ""]);
  }
});
