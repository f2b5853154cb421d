import { describe, expect, test } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import { closeSync, constants, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { resolve } from "node:path";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { run, type RunOptions } from "../../test/support/fallthru.ts";
import { Terminal } from "../../test/support/terminal.ts";
import { verbs } from "./commands/index.ts";
import { programVersion } from "./commands/version.ts";

const program = [process.execPath, resolve(import.meta.dirname, "main.ts")];
const cli = (line: string, options: RunOptions = {}) => run([...program, ...words(line)], options);

function words(line: string): string[] {
  return line.split(" ").filter((word) => word !== "");
}

test("the version is package.json's", async () => {
  const manifest = JSON.parse(readFileSync(resolve(import.meta.dirname, "../../package.json"), "utf8")) as object;
  expect(manifest).toMatchObject({ version: programVersion });
  expect(await cli("--version")).toMatchObject({ status: 0, stdout: `fallthru ${programVersion}\n`, stderr: "" });
});

describe("help", () => {
  test("names every verb that people use, and no other", async () => {
    const { status, stdout } = await cli("--help");
    expect(status).toBe(0);
    // The program's own name, which is one for mount.fuse(8), stands before the examples.
    for (const { name, isHidden } of verbs.filter(({ name }) => name !== "fallthru"))
      expect(stdout.includes(`\n  ${name} `)).toBe(isHidden !== true);
    expect(stdout).toContain("  fallthru run -- apt-get install -y cowsay\n");
  });

  test.each(verbs.filter(({ isHidden }) => isHidden !== true).map(({ name }) => name))(
    "of %s has an example",
    async (name) => {
      const { status, stdout, stderr } = await cli(`${name} --help`);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(stdout).toStartWith(`fallthru ${name}: `);
      expect(stdout).toMatch(new RegExp(`^usage: fallthru ${name} \\[options\\]`, "m"));
      expect(stdout).toMatch(new RegExp(`\\nexamples:\\n  .*fallthru ${name}`));
      expect(stdout).toMatch(/^exit status:$/m);
      expect(stdout).toContain("--json");
    },
  );

  test("has a line for each option of run", async () => {
    const { stdout } = await cli("run --help");
    for (const line of [
      "usage: fallthru run [options] [SOURCE] [-- COMMAND [ARGUMENT...]]",
      "  -u, --user NAME|UID[:GID]       who runs it",
      "  -b, --bind HOST[:INSIDE[:ro]]   show a file",
      "      --network host|none         the host's network",
      "  125    Fallthru itself failed",
      "  128+N  the command was ended by signal N",
    ]) {
      expect(stdout).toContain(`\n${line}`.slice(line.startsWith("usage") ? 1 : 0));
    }
  });

  test.each(["help chroot", "chroot --help", "chroot -h"])("of a group: %s", async (line) => {
    const { status, stdout } = await cli(line);
    expect(status).toBe(0);
    expect(stdout).toContain("\n  chroot import ");
    expect(stdout).not.toContain("\n  begin ");
  });
});

describe("a mistake", () => {
  test.each([
    ["", 2, "no verb given", "fallthru --help lists the verbs"],
    ["lst", 2, "no verb lst", "did you mean fallthru list?"],
    ["frobnicate", 2, "no verb frobnicate", "fallthru --help lists the verbs"],
    ["help lst", 2, "no verb lst", "did you mean fallthru list?"],
    [
      "chroot",
      2,
      "chroot needs a second word",
      "one of: chroot create, chroot import, chroot add, chroot remove, chroot update, chroot list",
    ],
    ["chroot creat", 2, "no verb chroot creat", "did you mean fallthru chroot create?"],
    ["--user x run", 2, "no option --user before the verb", "options stand behind the verb: fallthru run --help"],
    ["list --jsn", 2, "list has no option --jsn", "did you mean --json?"],
    ["list -z", 2, "list has no option -z", "fallthru list --help lists the options"],
    ["list x", 2, "list has no use for x", "fallthru list [options]"],
    ["end", 2, "end needs a SESSION, or --all", "fallthru list shows the sessions"],
    ["end @", 2, "an empty session id", "fallthru list shows the sessions"],
    ["begin @fix", 2, "@fix is a session, not a chroot", "fallthru run @fix"],
    ["run --usr x", 125, "run has no option --usr", "did you mean --user?"],
    [
      "run -x",
      125,
      "run has no option -x",
      "fallthru run --help lists the options; options of the command stand behind --",
    ],
    ["run host ls -l", 125, "run has no option -l", "fallthru run host -- ls -l"],
    [
      "run make -j4 all",
      125,
      "run has no option -j",
      "fallthru run --help lists the options; options of the command stand behind --",
    ],
    ["run make all", 125, "run has no use for all", "fallthru run -- make all"],
    ["run @fix make all", 125, "run has no use for make all", "fallthru run @fix -- make all"],
    [
      "run @fix --memory 1G",
      125,
      "--memory can't be given to @fix: it has begun already",
      "give it to fallthru begin, or run in a chroot instead of a session",
    ],
    [
      "run @fix --dry-run",
      125,
      "--dry-run can't be given to @fix: it has begun already",
      "give it to fallthru begin, or run in a chroot instead of a session",
    ],
    [
      "run --bind x:y -- true",
      125,
      "--bind: can't be understood: x:y",
      "give HOST, HOST:INSIDE or HOST:INSIDE:ro, with INSIDE beginning with /",
    ],
  ])("%s", async (line, status, message, hint) => {
    expect(await cli(line)).toEqual({
      status,
      signal: null,
      stdout: "",
      stderr: `fallthru: ${message}\nhint: ${hint}\n`,
    });
  });

  test("a command that is taken for a chroot is explained", async () => {
    const { status, stderr } = await cli("run ls");
    expect(status).toBe(125);
    expect(stderr).toStartWith('fallthru: no chroot "ls"');
    expect(stderr).toEndWith("to run the command ls: fallthru run -- ls\n");
  });

  test("is one line of JSON with --json, on stderr", async () => {
    const { status, stdout, stderr } = await cli("--json chroot remove nothing");
    expect({ status, stdout }).toEqual({ status: 3, stdout: "" });
    expect(JSON.parse(stderr)).toMatchObject({
      error: { code: "not-found", message: expect.stringContaining("nothing") },
    });
    expect(stderr.trimEnd()).not.toContain("\n");
  });

  test("--json behind -- is the command's", async () => {
    const { stderr } = await cli("run --nonsense -- --json");
    expect(stderr).toStartWith("fallthru: run has no option --nonsense");
  });
});

describe("the output", () => {
  const shell = (script: string) => run(["bash", "-c", script, "bash", ...program]);

  test("is cut off quietly where nobody reads it", async () => {
    const { stderr } = await shell('{ sleep 0.2; "$@" --help; echo $? >&2; } | true');
    expect(stderr).toBe("141\n");
  });

  test("is complete through a full pipe that doesn't block", async () => {
    const path = resolve(temporaryDirectory(), "pipe");
    execFileSync("mkfifo", [path]);
    const pipe = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    expect(() => {
      for (;;) writeSync(pipe, "x".repeat(4096));
    }).toThrow("EAGAIN");
    // A descriptor that is handed on is made one that blocks.
    const open = 'open(STDOUT, "+<", shift) && fcntl(STDOUT, F_SETFL, O_RDWR | O_NONBLOCK) || die $!; exec @ARGV';
    const words = ["-MFcntl", "-e", open, path, ...program, "completion", "bash"];
    const child = spawn("perl", words, { stdio: ["ignore", "ignore", "inherit"] });
    const status = new Promise((done) => child.on("exit", done));
    const buffer = Buffer.alloc(1 << 20);
    let length = 0;
    for (let isOver = false; !isOver;) {
      isOver = child.exitCode !== null;
      await new Promise((done) => setTimeout(done, 100));
      try {
        length += readSync(pipe, buffer, length, buffer.length - length, null);
      } catch (error) {
        expect(String(error)).toContain("EAGAIN");
      }
    }
    expect(await status).toBe(0);
    expect(buffer.toString("utf8", 0, length)).toMatch(
      /^x{65536}# bash completion[^]*complete -F _fallthru fallthru\n$/,
    );
    closeSync(pipe);
  });

  test("is an error where it can't be written", async () => {
    const { stderr, status } = await shell('"$@" version >/dev/full');
    expect(status).toBe(8);
    expect(stderr).toBe("fallthru: write standard output: no space left on device (ENOSPC)\n");
  });

  test("goes nowhere where it is closed", async () => {
    const { status } = await shell('"$@" version >&- 2>&-');
    expect(status).toBe(0);
  });
});

describe("on a terminal", () => {
  const shown = async (env: Record<string, string | undefined>) => {
    const terminal = new Terminal([...program, "end", "@none"], { env });
    expect(await terminal.ended).toMatchObject({ status: 3 });
    return terminal.until("list\r\n");
  };

  test("an error is coloured", async () => {
    expect(await shown({ TERM: "xterm", NO_COLOR: undefined })).toStartWith(
      "\u001b[1;31mfallthru:\u001b[0m no session none\r\n",
    );
  });

  test.each([
    [{ TERM: "xterm", NO_COLOR: "1" }],
    [{ TERM: "dumb", NO_COLOR: undefined }],
    [{ TERM: undefined, NO_COLOR: undefined }],
  ])("but not with %j", async (env) => {
    expect(await shown(env)).toStartWith("fallthru: no session none\r\n");
  });
});

test("an unexpected error is one line that says so, and with FALLTHRU_DEBUG where", async () => {
  // An environment that no shell makes: init's order is missing.
  const plain = await cli("init", { env: { FALLTHRU_DEBUG: undefined } });
  expect(plain.status).toBe(125);
  expect(plain.stderr).toMatch(
    /^fallthru: SyntaxError: .*\nhint: this is a bug in Fallthru; FALLTHRU_DEBUG=1 shows where\n$/,
  );
  expect((await cli("init", { env: { FALLTHRU_DEBUG: "1" } })).stderr).toContain("init.ts:");
});
