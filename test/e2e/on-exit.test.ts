// What becomes of what a command has changed in a session of its own: asked on a terminal, or said before.
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { describeChroot } from "../support/directories.ts";
import { executable, fallthru } from "../support/fallthru.ts";
import { leftoversAfter, type Traces, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import { Terminal, type TerminalOptions } from "../support/terminal.ts";

const root = tinyRoot();
const target = join(root, "etc/target");
let before: Traces;

beforeAll(() => {
  describeChroot("tiny", root);
  mkdirSync(join(root, "movable"));
  before = traces();
});
beforeEach(() => {
  writeFileSync(target, "old\n");
  rmSync(join(root, "etc/added"), { force: true });
});
afterEach(async () => {
  expect((await fallthru(["end", "--all", "--force"])).status).toBe(0);
  for (const each of await commits()) await fallthru(["log", "--forget", each]);
  expect((await leftoversAfter(before)).filter((line) => !line.includes(".commits"))).toEqual([]);
});

async function commits(): Promise<string[]> {
  const { commits: all } = JSON.parse((await fallthru(["log", "--json"])).stdout) as { commits: { commit: string }[] };
  return all.map(({ commit }) => commit);
}

async function sessions(): Promise<string[]> {
  const { sessions: all } = JSON.parse((await fallthru(["list", "--json"])).stdout) as { sessions: { id: string }[] };
  return all.map(({ id }) => id);
}

const change = "echo new >/etc/target; echo more >/etc/added; rm /etc/group";
const question = "[d]iscard? ";

const ask = (script: string, options: readonly string[] = [], on: TerminalOptions = {}): Terminal =>
  new Terminal([executable, "run", ...options, "tiny", "--", "sh", "-c", script], on);

const inRoot = (): unknown => [readFileSync(target, "utf8"), existsSync(join(root, "etc/added"))];
const untouched = ["old\n", false];

describe("on a terminal", () => {
  test("nothing is asked where nothing was changed, or what was is equal", async () => {
    const terminal = ask("cat /etc/target; chmod 644 /etc/target; echo ls >/root/.bash_history; exit 3");
    expect((await terminal.ended).status).toBe(3);
    expect(terminal.output).not.toContain(question);
  });

  test("all that was changed is shown, and discarded by d, and by Ctrl-D if that is meant", async () => {
    for (const answer of ["d\r", "\x04"]) {
      const terminal = ask(`${change}; exit 7`);
      const screen = await terminal.until(question);
      for (const line of ["A /etc/added", "D /etc/group", "M /etc/target", "1 added, 1 modified, 1 deleted"])
        expect(screen).toContain(line);
      terminal.type(answer);
      if (answer === "\x04") {
        expect(await terminal.until(question)).toContain("second Ctrl-D");
        terminal.type(answer);
      }
      expect((await terminal.ended).status).toBe(7);
      expect(inRoot()).toEqual(untouched);
      expect(await sessions()).toEqual([]);
    }
  });

  test("Ctrl-C, Ctrl-\\, what ends programs, and a closed window keep it, whatever is asked, and say how to go on", async () => {
    for (const [how, status] of [
      ["\x03", 130],
      ["\x1c", 131],
      ["SIGTERM", 143],
      ["SIGHUP", 129],
      ["hang up", 129],
    ] as const) {
      for (const isPicking of [false, true]) {
        const terminal = ask(`${change}; exit 7`);
        await terminal.until(question);
        if (isPicking) {
          terminal.type("p\r");
          await terminal.until("[y,n,a,q,d,?] ");
          terminal.type("y\r");
          await terminal.until("[y,n,a,q,d,?] ");
        }
        if (how === "hang up") terminal.hangUp();
        else if (how.startsWith("SIG")) process.kill(terminal.processId, how);
        else terminal.type(how);
        expect([how, await terminal.ended]).toEqual([how, { status, signal: null }]);
        const [id = ""] = await sessions();
        if (how !== "hang up") {
          await terminal.until(`kept as @${id}: fallthru run @${id}, fallthru end @${id}`);
          expect(terminal.output.match(/fallthru: /g)).toHaveLength(1);
        }
        const seen = await fallthru(["run", `@${id}`, "--", "cat", "/etc/target", "/etc/added"]);
        expect([seen.stdout, inRoot()]).toEqual(["new\nmore\n", untouched]);
        expect((await fallthru(["end", id])).status).toBe(0);
      }
    }
  });

  test("a terminal that doesn't say how large it is, as a serial line, shows a usual screen", async () => {
    const terminal = ask(change, [], { size: { columns: 0, rows: 0 } });
    const screen = await terminal.until(question);
    for (const line of ["A /etc/added", "D /etc/group", "M /etc/target"]) expect(screen).toContain(line);
    terminal.type("d\r");
    await terminal.ended;
  });

  test("a kill -9 keeps it, whatever is asked, for the next command to tell; not after an answer", async () => {
    for (const isPicking of [false, true]) {
      const terminal = ask(`${change}; exit 7`, ["--name", "x"]);
      await terminal.until(question);
      if (isPicking) {
        terminal.type("p\r");
        await terminal.until("[y,n,a,q,d,?] ");
      }
      process.kill(terminal.processId, "SIGKILL");
      expect((await terminal.ended).signal).toBe("SIGKILL");
      expect((await fallthru(["recover"])).status).toBe(0);
      const seen = await fallthru(["run", "@x", "--", "cat", "/etc/target", "/etc/added"]);
      expect([seen.stdout, inRoot(), existsSync("/var/lib/fallthru/sessions/x/asked")]).toEqual([
        "new\nmore\n",
        untouched,
        false,
      ]);
      expect((await fallthru(["end", "x"])).status).toBe(0);
    }
    const killed = new Terminal([
      "strace",
      "-qqo",
      "/dev/null",
      "-e",
      "trace=unlinkat",
      "--inject=unlinkat:signal=KILL:when=2",
      executable,
      "run",
      "--name",
      "x",
      "tiny",
      "--",
      "sh",
      "-c",
      change,
    ]);
    await killed.until(question);
    killed.type("d\r");
    await killed.ended;
    await fallthru(["recover"]);
    expect([await sessions(), inRoot()]).toEqual([[], untouched]);
  });

  test("a window that is closed while the command runs keeps it", async () => {
    const terminal = ask(`${change}; echo ready; sleep 1000`);
    await terminal.until("ready");
    terminal.hangUp();
    await terminal.ended;
    const [id = ""] = await sessions();
    expect((await fallthru(["run", `@${id}`, "--", "cat", "/etc/target"])).stdout).toBe("new\n");
  });

  test("what was typed before the question doesn't answer it, nor does a terminal without lines keep anybody from it", async () => {
    const terminal = ask(`${change}; stty raw -echo; echo ready; while [ ! -e /go ]; do sleep 0.05; done`, [
      "--name",
      "x",
    ]);
    await terminal.until("ready");
    terminal.type("d\nd\n\x04\x04");
    writeFileSync("/run/fallthru/mount/x/x/go", "");
    await terminal.until(question);
    await new Promise((done) => setTimeout(done, 100));
    expect(await sessions()).toEqual(["x"]);
    terminal.type("k\r");
    await terminal.until("kept as @x");
    expect((await terminal.ended).status).toBe(0);
  });

  test("the terminal is left as the command has left it", async () => {
    const terminal = new Terminal(["sh", "-c", `${executable} run tiny -- sh -c '${change}; stty -echo'; stty -a`]);
    await terminal.until(question);
    terminal.type("d\r");
    expect(await terminal.until(/ -?echo /)).toEndWith(" -echo ");
    await terminal.ended;
  });

  test("Ctrl-Z stops it there, a background has no answer, and fg asks again", async () => {
    const shell = new Terminal(["bash", "--norc", "-i"], { env: { PS1: "$ " } });
    await shell.until("$ ");
    shell.type(`${executable} run tiny --name x -- sh -c '${change}; exit 6'\n`);
    await shell.until(question);
    shell.type("\x1a");
    await shell.until(/Stopped/);
    shell.type("bg\n");
    // In quotes, so that what is typed isn't what is waited for.
    shell.type("until jobs | grep -q Stopped; do sleep 0.1; done; echo 'it' stopped\n");
    await shell.until("it stopped");
    shell.type("fg\n");
    await shell.until(question);
    shell.type("k\n");
    await shell.until("kept as @x");
    shell.type("echo status $?; exit\n");
    await shell.until("status 6");
    await shell.ended;
  });

  test("k keeps it: it is there as any other session is, with what was changed", async () => {
    const terminal = ask(`${change}; exit 5`);
    await terminal.until(question);
    terminal.type("k\r");
    const said = await terminal.until(/kept as @[\w-]+/);
    expect((await terminal.ended).status).toBe(5);
    const id = said.slice(said.indexOf("@"));
    const inside = ["run", id, "--", "sh", "-c", "cat /etc/target /etc/added; ls /etc/group"];
    expect((await fallthru(inside)).stdout).toBe("new\nmore\n");
    const info = JSON.parse((await fallthru(["info", id, "--json"])).stdout) as { unions: { options: string[] }[] };
    expect(info.unions[0]?.options).not.toContain("volatile");
    expect((await fallthru(["diff", id, "--name-status"])).stdout).toBe(
      "A\t/etc/added\nD\t/etc/group\nM\t/etc/target\n",
    );
    expect(inRoot()).toEqual(untouched);
  });

  test("s shows the patch, anything else what can be answered; c commits", async () => {
    const terminal = ask(change);
    await terminal.until(question);
    terminal.type("s\r");
    expect(await terminal.until(question)).toMatch(/\+more\r\n[^]*… and 3 more lines \(S shows all of it\)/);
    terminal.type("S\r");
    expect(await terminal.until(question)).toContain("+new");
    terminal.type("what\r");
    expect(await terminal.until(question)).toContain("c  commit all");
    terminal.type("c\r");
    await terminal.until(/commit [0-9a-f]{8}: 4 changes to/);
    expect((await terminal.ended).status).toBe(0);
    expect([...(inRoot() as unknown[]), existsSync(join(root, "etc/group"))]).toEqual(["new\n", true, false]);
    expect((await fallthru(["undo"])).status).toBe(0);
    expect([...(inRoot() as unknown[]), existsSync(join(root, "etc/group"))]).toEqual(["old\n", false, true]);
  });

  test("p picks some, and asks what is to become of the rest", async () => {
    const terminal = ask("echo new >/etc/target; echo more >/etc/added");
    await terminal.until(question);
    terminal.type("p\r");
    await terminal.until("/etc/added? [y,n,a,q,d,?] ");
    terminal.type("n\r");
    await terminal.until(/\/etc\/target .*\? \[y,n,a,q,d,\?\] /);
    terminal.type("y\r");
    const rest = await terminal.until(question);
    expect([rest.includes("A /etc/added"), rest.includes("/etc/target ")]).toEqual([true, false]);
    terminal.type("d\r");
    expect((await terminal.ended).status).toBe(0);
    expect(inRoot()).toEqual(["new\n", false]);
    expect((await fallthru(["undo"])).status).toBe(0);
  });

  test("a conflict is shown, and asked again: nothing is lost", async () => {
    const terminal = ask("echo new >/etc/target; echo ready; read go");
    await terminal.until("ready");
    writeFileSync(target, "theirs\n");
    terminal.type("go\r");
    await terminal.until(question);
    terminal.type("c\r");
    expect(await terminal.until(question)).toContain("conflict /etc/target: changed");
    terminal.type("k\r");
    const said = await terminal.until(/kept as @[\w-]+/);
    await terminal.ended;
    expect((await fallthru(["run", said.slice(said.indexOf("@")), "--", "cat", "/etc/target"])).stdout).toBe("new\n");
    expect(readFileSync(target, "utf8")).toBe("theirs\n");
  });

  test("--quiet and --on-exit=discard ask nothing", async () => {
    for (const options of [["--quiet"], ["--on-exit=discard"]]) {
      const terminal = ask(change, options);
      expect((await terminal.ended).status).toBe(0);
      expect(terminal.output).toBe("");
      expect(inRoot()).toEqual(untouched);
    }
  });
});

describe("said before", () => {
  test("--on-exit=commit commits what succeeded, and keeps what failed or is in conflict", async () => {
    const run = (script: string) =>
      fallthru(["run", "--on-exit=commit", "tiny", "--name", "x", "--", "sh", "-c", script]);
    const done = await run(change);
    expect([done.status, done.stdout, inRoot()]).toEqual([0, "", ["new\n", true]]);
    expect((await fallthru(["undo"])).status).toBe(0);
    const failed = await run(`${change}; exit 9`);
    expect([failed.status, inRoot()]).toEqual([9, untouched]);
    expect(failed.stderr).toContain("nothing was committed");
    expect((await fallthru(["run", "@x", "--", "cat", "/etc/target"])).stdout).toBe("new\n");
    await fallthru(["end", "x"]);
    const running = run("echo new >/etc/target; touch /etc/added; while [ -e /etc/added ]; do sleep 0.05; done");
    const inside = "/run/fallthru/mount/x/x/etc/added";
    while (!existsSync(inside)) await new Promise((soon) => setTimeout(soon, 10));
    writeFileSync(target, "theirs\n");
    rmSync(inside);
    const conflict = await running;
    expect([conflict.status, readFileSync(target, "utf8")]).toEqual([125, "theirs\n"]);
    expect(conflict.stderr).toContain("kept as @x");
    expect((await fallthru(["run", "@x", "--", "cat", "/etc/target"])).stdout).toBe("new\n");
  });

  test("--on-exit=keep keeps it on both unions, ends what was left running, and it is mounted again after a restart", async () => {
    for (const union of ["overlay", "fallthru"]) {
      const script = "echo new >/etc/target; mv /movable /moved; (sleep 1000 &) ; exit 4";
      const words = ["run", "--on-exit=keep", "tiny", "--name", "x", "--union", union, "--", "sh", "-c", script];
      expect((await fallthru(words)).status).toBe(4);
      const look = ["run", "@x", "--", "sh", "-c", "cat /etc/target; ls -d /moved /movable"];
      expect((await fallthru(look)).stdout).toBe("new\n/moved\n");
      expect(JSON.parse((await fallthru(["info", "@x", "--json"])).stdout)).toMatchObject({ processes: [] });
      expect((await fallthru(["info", "@x", "--json"])).stdout).not.toContain("volatile");
      await unmountAll();
      expect((await fallthru(["recover"])).status).toBe(0);
      expect((await fallthru(look)).stdout).toBe("new\n/moved\n");
      expect((await fallthru(["end", "x"])).status).toBe(0);
    }
  });

  test("a shell of the host's that stands in it keeps nobody from keeping it", async () => {
    const running = fallthru([
      "run",
      "--on-exit=keep",
      "tiny",
      "--name",
      "x",
      "--",
      "sh",
      "-c",
      "touch /ready; sleep 1",
    ]);
    while (!existsSync("/run/fallthru/mount/x/x/ready")) await new Promise((soon) => setTimeout(soon, 10));
    const standing = spawn("sleep", ["1000"], { cwd: "/run/fallthru/mount/x/x/etc" });
    try {
      const { status, stderr } = await running;
      expect([status, stderr.includes("syncs nothing")]).toEqual([0, true]);
      expect((await fallthru(["run", "@x", "--", "ls", "/ready"])).stdout).toBe("/ready\n");
    } finally {
      standing.kill();
    }
  });

  test("what can't be is said before anything is begun", async () => {
    const failure = async (...words: string[]): Promise<unknown> => {
      const { status, stderr } = await fallthru(["run", ...words, "--", "true"]);
      return [status, stderr.split("\n")[0]];
    };
    expect(await failure("--on-exit=ask", "tiny")).toEqual([125, "fallthru: --on-exit=ask needs a terminal"]);
    expect(await failure("--on-exit=keep", "source:tiny")).toEqual([
      125,
      "fallthru: --on-exit=keep: what is done in source:CHROOT changes the chroot itself",
    ]);
    expect(((await failure("--on-exit=nonsense", "tiny")) as unknown[])[0]).toBe(125);
    expect(((await failure("--on-exit=keep", "@x")) as unknown[])[0]).toBe(125);
  });
});

async function unmountAll(): Promise<void> {
  const { restart } = await import("../crash/session.ts");
  restart();
}
