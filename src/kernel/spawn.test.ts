import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tinyRoot } from "../../test/support/roots.ts";
import { O } from "./abi/file.ts";
import type { Fd } from "./fd.ts";
import { openAt, openDirectory, readAvailable } from "./file.ts";
import type { Program, Surroundings } from "./process.ts";
import { spawn } from "./spawn.ts";
import { makePipe } from "./self.ts";
import { waitForChild } from "./wait.ts";

const tiny = tinyRoot();
let root: Fd;
beforeEach(() => {
  root = openDirectory(tiny);
});
afterEach(() => root.close());

const where = (more: Partial<Surroundings> = {}): Surroundings => ({
  root,
  credentials: { uid: 0, gid: 0, groups: [] },
  directories: ["/"],
  network: "host",
  ...more,
});
const sh = (script: string, more: Partial<Program> = {}): Program => ({
  file: "/bin/sh",
  argv: ["sh", "-c", script],
  env: { PATH: "/bin" },
  ...more,
});

/** All of a thread that spawn() changes for the moment. */
function ownState(): unknown {
  const status = readFileSync("/proc/thread-self/status", "utf8");
  const kept = status.split("\n").filter((line) => /^(Uid|Gid|Groups|Cap|Umask|SigBlk)/.test(line));
  const spaces = ["net", "uts", "pid", "pid_for_children", "mnt"].map((name) =>
    readlinkSync(`/proc/thread-self/ns/${name}`),
  );
  return [
    kept,
    spaces,
    readlinkSync("/proc/thread-self/root"),
    readlinkSync("/proc/thread-self/cwd"),
    readFileSync("/proc/sys/kernel/hostname", "utf8"),
  ];
}

/** What a program prints, and how it ends. */
async function outputOf(at: Surroundings, program: Program): Promise<[string, unknown]> {
  const file = join(tiny, "out");
  writeFileSync(file, "");
  const words = { ...program, argv: ["sh", "-c", `exec >/out 2>&1; ${String(program.argv[2])}`] };
  const outcome = await waitForChild(spawn(at, words));
  return [readFileSync(file, "utf8"), outcome];
}

describe("spawn()", () => {
  test("starts a program in a root, as a user, in a directory; this thread keeps its own", async () => {
    const before = ownState();
    const credentials = { uid: 1000, gid: 1001, groups: [29, 100] };
    writeFileSync(join(tiny, "out"), "", { mode: 0o666 });
    execFileSync("chmod", ["666", join(tiny, "out")]);
    const script = "id -u; id -g; id -G; pwd; echo $A; ls -d /etc/passwd; exit 7";
    const [output, outcome] = await outputOf(
      where({ credentials, directories: ["/none", "/etc"] }),
      sh(script, { env: { PATH: "/bin", A: Buffer.from("b") } }),
    );
    expect(output).toBe("1000\n1001\n1001 29 100\n/etc\nb\n/etc/passwd\n");
    expect(outcome).toEqual({ kind: "exited", status: 7 });
    expect(ownState()).toEqual(before);
  });

  test("brings this thread back whatever fails", () => {
    const before = ownState();
    const failing: readonly (readonly [Partial<Surroundings>, Partial<Program>, RegExp])[] = [
      [{}, { file: "nothing" }, /^run nothing: no such file or directory \(ENOENT\)$/],
      [{}, { file: "/etc/passwd" }, /^run \/etc\/passwd: permission denied \(EACCES\)$/],
      [{ directories: ["/a", "/b"] }, {}, /^change to directory \/b: no such file/],
      [
        { credentials: { uid: 0, gid: 0, groups: Array.from({ length: 70_000 }, () => 1) } },
        {},
        /^setgroups: invalid argument/,
      ],
      [
        { credentials: { uid: 1000, gid: 1000, groups: [] }, hostname: "x".repeat(65), network: "none" },
        {},
        /^sethostname x+: invalid argument/,
      ],
      [{ hostname: "inside", network: "none", pidSpace: "new" }, { file: "nothing" }, /^run nothing/],
    ];
    for (const [at, program, message] of failing) {
      expect(() => spawn(where(at), sh("true", program))).toThrow(message);
      expect(ownState()).toEqual(before);
    }
  });

  test("gives name spaces: a network, a host name, processes", async () => {
    const before = ownState();
    const [output] = await outputOf(
      where({ network: "none", hostname: "inside", pidSpace: "new" }),
      sh("echo $$; hostname; ifconfig -a 2>/tmp/errors | grep -c Link"),
    );
    expect(output).toBe("1\ninside\n1\n");
    expect(ownState()).toEqual(before);
  });

  test("joins the name spaces of another process", async () => {
    const [reading, writing] = makePipe();
    using ready = reading;
    const pid = spawn(where({ pidSpace: "new" }), {
      file: "/bin/sh",
      argv: ["sh", "-c", `echo up >&${writing.number}; exec sleep 1000`],
      env: { PATH: "/bin" },
      inherits: writing,
    });
    writing.close();
    expect(readAvailable(ready).toString()).toBe("up\n");
    using space = openAt(null, `/proc/${pid}/ns/pid`, O.RDONLY);
    using mounts = openAt(null, "/proc/self/ns/mnt", O.RDONLY);
    const before = ownState();
    for (const uid of [0, 1000]) {
      const [output] = await outputOf(
        where({ pidSpace: space, mountSpace: mounts, credentials: { uid, gid: uid, groups: [] } }),
        sh("test $$ -lt 10 && echo few; echo $PPID; kill -0 1 2>/tmp/errors-$$-$(id -u) && echo alive"),
      );
      expect(output).toBe(uid === 0 ? "few\n0\nalive\n" : "few\n0\n");
    }
    expect(ownState()).toEqual(before);
    process.kill(pid, "SIGKILL");
    expect(await waitForChild(pid)).toEqual({ kind: "killed", signal: 9 });
  });

  test("leaves only the standard streams open, and what is to be inherited", async () => {
    using _kept = openAt(null, "/etc/passwd", O.RDONLY);
    const fds =
      'for n in 0 1 2 3 4 5 6 7 8 10 11 12 13 14 15 16 17 18 19 20 30 40 50; do (eval "exec 9<&$n") 2>/tmp/errors && echo $n; done';
    const [output] = await outputOf(where(), sh(fds));
    expect(output).toBe("0\n1\n2\n");
  });

  test("runs scripts without #!, and finds programs as the user in the PATH that it gives", async () => {
    writeFileSync(join(tiny, "bin/odd"), 'echo "odd $1" >/out\n', { mode: 0o755 });
    const outcome = await waitForChild(
      spawn(where(), {
        file: Buffer.from("odd"),
        argv: [Buffer.from("odd"), Buffer.from([0xff])],
        env: { PATH: ":/none:/bin" },
      }),
    );
    expect(outcome).toEqual({ kind: "exited", status: 0 });
    expect([...readFileSync(join(tiny, "out"))]).toEqual([...Buffer.from("odd "), 0xff, 0x0a]);
    writeFileSync(join(tiny, "bin/secret"), "#!/bin/sh\n", { mode: 0o700 });
    expect(() =>
      spawn(where({ credentials: { uid: 1000, gid: 1000, groups: [] } }), {
        file: "secret",
        argv: ["secret"],
        env: { PATH: "/bin" },
      }),
    ).toThrow(/^run secret: permission denied/);
  });
});

describe("waitForChild()", () => {
  test("tells an exit, a signal, and a stop", async () => {
    expect(await waitForChild(spawn(where(), sh("exit 255")))).toEqual({ kind: "exited", status: 255 });
    expect(await waitForChild(spawn(where(), sh("kill -TERM $$")))).toEqual({ kind: "killed", signal: 15 });
    const pid = spawn(where(), sh("kill -STOP $$; exit 3"));
    expect(await waitForChild(pid)).toEqual({ kind: "stopped", signal: 19 });
    process.kill(pid, "SIGCONT");
    expect(await waitForChild(pid)).toEqual({ kind: "exited", status: 3 });
  });

  test("of a process that isn't ours is an error", async () => {
    const error: unknown = await waitForChild(1).catch((reason: unknown) => reason);
    expect(String(error)).toMatch(/wait for process 1: /);
  });
});
