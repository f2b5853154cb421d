// What a command gets and gives back: its status, its arguments, its streams.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run, startFallthru } from "../support/fallthru.ts";
import { tinyRoot } from "../support/roots.ts";

const root = tinyRoot();
/** The ways to a command: a session of its own, a named one, the host's root, a name space of its own. */
const ways: readonly (readonly string[])[] = [
  ["run", "tiny"],
  ["run", "@named"],
  ["run"],
  ["run", "tiny", "--pid-namespace"],
  ["run", "@named", "--pid-namespace"],
];

beforeAll(async () => {
  describeChroot("tiny", root, ["profile=fallthru"]);
  expect((await fallthru(["begin", "tiny", "--name", "named"])).status).toBe(0);
});
afterAll(async () => fallthru(["end", "named"]));

for (const way of ways) {
  describe(`fallthru ${way.join(" ")}`, () => {
    const inside = (words: readonly string[], input?: Uint8Array) =>
      fallthru([...way, "--", ...words], input === undefined ? {} : { input });

    test("ends with the command's own status", async () => {
      for (const status of [0, 1, 3, 42, 125, 126, 127, 255]) {
        expect(await inside(["/bin/sh", "-c", `exit ${status}`])).toEqual({
          status,
          signal: null,
          stdout: "",
          stderr: "",
        });
      }
    });

    test("ends with 127 where there is no such command, with 126 where it can't be executed", async () => {
      const missing = await inside(["no-such-command"]);
      expect([missing.status, missing.stdout]).toEqual([127, ""]);
      expect(missing.stderr).toMatch(/^fallthru: run no-such-command: no such file or directory \(ENOENT\)\n/);
      expect((await inside(["/no/such/command"])).status).toBe(127);
      expect((await inside(["/etc/passwd"])).status).toBe(126);
      const directory = await inside(["/etc"]);
      expect(directory.status).toBe(126);
      expect(directory.stderr).toMatch(/^fallthru: run \/etc: permission denied \(EACCES\)\n/);
    });

    test("hands every argument on as it is", async () => {
      const words = [
        "",
        " ",
        "a b",
        "--",
        "-x",
        "--help",
        "--json",
        "*",
        "$HOME",
        "'",
        '"',
        "\\",
        "a\nb",
        "é",
        "@x",
        "",
      ];
      const { stdout } = await inside(["/bin/sh", "-c", 'for a; do printf "[%s]" "$a"; done', "sh", ...words]);
      expect(stdout).toBe(words.map((word) => `[${word}]`).join(""));
    });

    test("hands arguments that aren't UTF-8 on as they are", () => {
      const result = spawnWithBytes(way, [
        "/bin/sh",
        "-c",
        'printf %s "$1$2"',
        "sh",
        "\\xff\\xfeé\\x80",
        "\\xef\\xbf\\xbd",
      ]);
      expect(result.toString("latin1")).toBe("\xff\xfe\xc3\xa9\x80\xef\xbf\xbd");
    });

    test("sets a variable to what isn't UTF-8", () => {
      const result = spawnWithBytes([...way, "--env", "X=$'=\\xff\\xfeé'"], ["/bin/sh", "-c", 'printf %s "$X"']);
      expect(result.toString("latin1")).toBe("=\xff\xfe\xc3\xa9");
    });

    test("goes to a directory whose name isn't UTF-8", () => {
      const place = execFileSync("mktemp", ["--directory", "/tmp/fallthru-XXXXXX"], { encoding: "utf8" }).trim();
      const name = Buffer.concat([Buffer.from(`${place}/`), Buffer.from([0xff])]);
      mkdirSync(name);
      const binds = way.includes("tiny") ? [`--bind ${place}`] : [];
      if (way.includes("@named")) spawnWithBytes(["run", "@named"], ["/bin/mkdir", "-p", `${place}/\\xff`]);
      const result = spawnWithBytes([...way, ...binds, `--directory=$'${place}/\\xff'`], ["/bin/pwd"]);
      rmSync(place, { recursive: true });
      expect(result.toString("latin1")).toBe(`${place}/\xff\n`);
    });

    test("passes binary data through in both directions", async () => {
      const data = Uint8Array.from({ length: 1 << 20 }, (_, index) => (index * 7 + (index >> 8)) & 0xff);
      const child = startFallthru([...way, "--", "/bin/cat"]);
      const chunks: Buffer[] = [];
      child.stdout?.on("data", (chunk: Buffer) => chunks.push(chunk));
      child.stdin?.end(data);
      expect(await new Promise((done) => child.on("close", done))).toBe(0);
      expect(Buffer.concat(chunks).equals(data)).toBe(true);
    });

    test("leaves input that the command doesn't read to others", async () => {
      const script = `(${executable} ${way.join(" ")} -- /bin/sh -c 'read line; echo "<$line>"'; cat)`;
      expect((await run(["sh", "-c", script], { input: "one\ntwo\n" })).stdout).toBe("<one>\ntwo\n");
    });

    test("says with the command's status that nobody read its output", async () => {
      const script = `{ ${executable} ${way.join(" ")} -- /bin/sh -c 'while echo y; do :; done 2>/dev/null; echo $? >&2'; echo $? >&2; } | head -n 1`;
      const { stdout, stderr } = await run(["sh", "-c", script]);
      // sh is a shell with a built-in echo: the signal ends it before it can say anything.
      expect([stdout, stderr]).toEqual(["y\n", "141\n"]);
    });

    test("runs with standard streams closed", async () => {
      const streams = `${executable} ${way.join(" ")} -- /bin/sh -c 'exit 7' <&- >&- 2>&-; echo $?`;
      expect((await run(["sh", "-c", streams])).stdout).toBe("7\n");
    });
  });
}

/** bash makes the bytes: node hands over strings only. */
function spawnWithBytes(way: readonly string[], words: readonly string[]): Buffer {
  const quoted = words.map((word) => `$'${word.replaceAll("'", "\\'").replaceAll('"', '\\"')}'`).join(" ");
  const result = spawnSync("bash", ["-c", `exec ${executable} ${way.join(" ")} -- ${quoted}`]);
  expect(result.stderr.toString()).toBe("");
  return result.stdout;
}

test("a script without #! is run by sh, as a shell would", async () => {
  writeFileSync(join(root, "bin/script"), 'echo "$0 $*"\n', { mode: 0o755 });
  for (const source of ["tiny", "@named"]) {
    const { stdout } = await fallthru(["run", source, "--", "script", "a b", "c"]);
    expect(stdout).toBe("/bin/script a b c\n");
  }
});

test("the command is looked for in the PATH of its own environment, past what can't be executed", async () => {
  const dir = join(root, "opt/bin");
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "ls"), "not executable\n", { mode: 0o644 });
  writeFileSync(join(dir, "only-here"), "#!/bin/sh\necho found\n", { mode: 0o755 });
  const path = ["--env", "PATH=/nowhere:/opt/bin:/bin"];
  expect((await fallthru(["run", "tiny", ...path, "--", "only-here"])).stdout).toBe("found\n");
  expect((await fallthru(["run", "tiny", ...path, "--", "ls", "-d", "/"])).stdout).toBe("/\n");
  expect((await fallthru(["run", "tiny", "--env", "PATH=/opt/bin", "--", "ls"])).status).toBe(126);
});

test("too long a command line is the command's failure, as in a shell", async () => {
  const { status, stderr } = await fallthru(["run", "tiny", "--", "/bin/true", "x".repeat(100_000), "--", "y"]);
  expect([status, stderr]).toEqual([0, ""]);
  const script = `${executable} run tiny --env "A=$(head -c 131000 /dev/zero | tr '\\0' x)$(head -c 1000 /dev/zero | tr '\\0' x)" -- true`;
  expect((await run(["bash", "-c", script])).status).toBe(126);
});

const traces = temporaryDirectory("traces");
test("a session's name that is nearly right, or lacks its @, is told as it was meant", async () => {
  await fallthru(["begin", "tiny", "--name", "meant"]);
  const hints = [];
  for (const line of ["run @menat -- true", "run meant -- true", "run meant", "end maent", "info @meatn"]) {
    hints.push((await fallthru(line.split(" "))).stderr.split("\n")[1]);
  }
  await fallthru(["end", "meant"]);
  const near = "hint: did you mean @meant? what there is: fallthru list";
  const session = "hint: meant is a session: fallthru run @meant";
  expect(hints).toEqual([near, session, session, near, near]);
});

test("our own failures are 125, with one clear line", async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [["run", "nowhere", "--", "true"], /^fallthru: no chroot "nowhere"/],
    [["run", "@nowhere", "--", "true"], /^fallthru: no session nowhere\n/],
    [["run", "@../x", "--", "true"], /^fallthru: "\.\.\/x" can't be a session's name\n/],
    [["run", "tiny", "--nonsense", "--", "true"], /^fallthru: run has no option --nonsense\n/],
    [
      ["run", "tiny", "--directory", "/nowhere", "--", "true"],
      /^fallthru: change to directory \/nowhere: no such file/,
    ],
    [
      ["run", "@named", "--directory", "/etc/passwd", "--", "true"],
      /^fallthru: change to directory \/etc\/passwd: not a/,
    ],
    [
      ["run", "tiny", "--user", "stranger", "--", "true"],
      /^fallthru: no user "stranger" in the session's \/etc\/passwd\n/,
    ],
    [["run", "tiny", "--upper", join(traces, "missing"), "--", "true"], /^fallthru: no directory .*missing/],
  ];
  for (const [words, message] of cases) {
    const { status, stdout, stderr } = await fallthru(words);
    expect({ words, status, stdout }).toEqual({ words, status: 125, stdout: "" });
    expect(stderr).toMatch(message);
  }
});

test("without the superuser's rights, the way out is said", async () => {
  const home = temporaryDirectory("home");
  execFileSync("chown", ["65534", home]);
  for (const [words, status] of [
    [["run", "tiny", "--", "true"], 125],
    [["run", "@named", "--", "true"], 125],
    [["begin", "tiny"], 7],
    [["end", "named"], 7],
  ] as const) {
    const result = await run(["setpriv", "--reuid=65534", "--clear-groups", executable, ...words], {
      env: { HOME: home },
    });
    expect([words, result.status, result.stderr]).toEqual([
      words,
      status,
      "fallthru: a session without root needs subordinate ids: /etc/subuid has no line for nobody\n" +
        "hint: as root: usermod --add-subuids FIRST-LAST nobody (65536 of them that nobody else has), or by hand the line nobody:FIRST:65536\n",
    ]);
  }
});
