// What a person in front of a terminal does: keys, job control, window sizes, hanging up.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { describeChroot } from "../support/directories.ts";
import { executable, fallthru } from "../support/fallthru.ts";
import { untilRuns } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import { Terminal } from "../support/terminal.ts";

const root = tinyRoot();

beforeAll(async () => {
  describeChroot("tiny", root, ["profile=fallthru"]);
  expect((await fallthru(["begin", "tiny", "--name", "named"])).stderr).toBe("");
  expect((await fallthru(["begin", "host", "--name", "hosted"])).stderr).toBe("");
});
afterAll(async () => fallthru(["end", "named", "hosted"]));

const prompt = "> ";
/** An interactive shell of the host's, as a person has it. */
async function openShell(): Promise<Terminal> {
  const terminal = new Terminal(["bash", "--norc", "--noediting"], { env: { PS1: prompt, F: executable } });
  await terminal.until(prompt);
  return terminal;
}

/** Types a line and waits for its echo, so that what follows is output. */
async function enter(terminal: Terminal, line: string): Promise<void> {
  terminal.type(`${line}\r`);
  await terminal.until("\r\n");
}

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

/** The shell hears of it some time later, and says it unasked only before a prompt. */
async function untilStopped(terminal: Terminal): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    terminal.type("jobs; echo end of jobs\r");
    if ((await terminal.until("end of jobs\r\n").then(() => terminal.until("end of jobs\r\n"))).includes("Stopped"))
      return;
    await pause(50);
  }
  throw new Error("the job isn't stopped");
}

async function close(terminal: Terminal): Promise<void> {
  terminal.type("exit\r");
  expect((await terminal.ended).signal).toBeNull();
}

const ways = ["run tiny", "run @named", "run", "run @hosted", "run tiny --pid-namespace", "run @named --pid-namespace"];
for (const way of ways) {
  describe(`fallthru ${way}`, () => {
    test("Ctrl-C and Ctrl-\\ end the command, and their status is a shell's", async () => {
      const terminal = await openShell();
      for (const [key, status] of [
        ["\x03", 130],
        ["\x1c", 131],
      ] as const) {
        await enter(terminal, `$F ${way} -- /bin/busybox sh -c 'echo up; exec sleep 1000'`);
        await terminal.until("up\r\n");
        await untilRuns("sleep 1000"); // busybox's shell loses a key at the moment of exec(2)
        terminal.type(key);
        await terminal.until(prompt);
        await enter(terminal, "echo status $?");
        await terminal.until(`status ${status}\r\n`);
        await terminal.until(prompt);
      }
      await close(terminal);
    });

    test("a command that handles Ctrl-C gets it once, and goes on", async () => {
      const terminal = await openShell();
      await enter(
        terminal,
        `$F ${way} -- /bin/busybox sh -c 'trap "echo caught; seen=1" INT; echo up; until [ "$seen" ]; do sleep 0.1; done; sleep 0.2; sleep 0.2; exit 9'`,
      );
      await terminal.until("up\r\n");
      terminal.type("\x03");
      await terminal.until("caught\r\n");
      const rest = await terminal.until(prompt);
      expect(rest).not.toContain("caught");
      await enter(terminal, "echo status $?");
      await terminal.until("status 9\r\n");
      await close(terminal);
    });

    test("Ctrl-Z stops the command; fg and bg wake it", async () => {
      const terminal = await openShell();
      await enter(terminal, `$F ${way} -- /bin/busybox sh -c 'echo up; read line; echo "<$line>"; exit 5'`);
      await terminal.until("up\r\n");
      for (let round = 0; round < 5; round++) {
        terminal.type("\x1a");
        await terminal.until("Stopped");
        await terminal.until(prompt);
        await enter(terminal, "fg");
        await terminal.until("\r\n");
        // Nothing stops it again by itself.
        await pause(50);
        expect(terminal.output.slice(-200).split("fg\r\n").at(-1)).not.toContain("Stopped");
      }
      await enter(terminal, "word");
      await terminal.until("<word>\r\n");
      await terminal.until(prompt);
      await enter(terminal, "echo status $?");
      await terminal.until("status 5\r\n");
      await close(terminal);
    });

    test("a command in the background goes on, and is stopped when it wants the terminal", async () => {
      const terminal = await openShell();
      await enter(terminal, `$F ${way} -- /bin/busybox sh -c 'echo up; read line; echo "<$line>"' &`);
      await terminal.until("up\r\n");
      await untilStopped(terminal);
      await enter(terminal, "fg");
      await terminal.until("\r\n");
      await enter(terminal, "word");
      await terminal.until("<word>\r\n");
      await terminal.until(prompt);
      await close(terminal);
    });

    test("the terminal is the command's: its name, its size and changes of it, its settings afterwards", async () => {
      const terminal = await openShell();
      await enter(terminal, "tty");
      const name = /\/dev\/pts\/\d+/.exec(await terminal.until(prompt))?.[0] ?? "";
      await enter(
        terminal,
        `$F ${way} -- /bin/busybox sh -c 'trap "stty size; seen=1" WINCH; tty; stty size; echo up; until [ "$seen" ]; do sleep 0.1; done; stty -echo'`,
      );
      // In a chroot with a devpts of its own the name may be missing, but not wrong.
      const shown = await terminal.until("up\r\n");
      expect(shown).toContain(`${name}\r\n24 80\r\n`);
      terminal.resize({ columns: 100, rows: 30 });
      await terminal.until("30 100\r\n");
      await terminal.until(prompt);
      terminal.type("stty -a; stty echo\r");
      await terminal.until(" -echo ");
      await terminal.until(prompt);
      await close(terminal);
    });

    test("a shell inside has job control", async () => {
      const terminal = await openShell();
      await enter(terminal, `$F ${way} -- /bin/busybox sh -i`);
      await terminal.until("\x1b[6n");
      terminal.type("sleep 1000\r");
      await terminal.until("sleep 1000\r\n");
      await untilRuns("sleep 1000");
      terminal.type("\x1a");
      await terminal.until("Stopped");
      await terminal.until("\x1b[6n");
      terminal.type("jobs; fg\r");
      await terminal.until("fg\r\n");
      await terminal.until(/Stopped[^]*sleep 1000[^]*sleep 1000\r\n/);
      terminal.type("\x03");
      await terminal.until("\x1b[6n");
      terminal.type("exit 3\r");
      await terminal.until(prompt);
      await enter(terminal, "echo status $?");
      await terminal.until("status 3\r\n");
      await close(terminal);
    });

    test("hanging up ends the command", async () => {
      const terminal = new Terminal([
        executable,
        ...way.split(" "),
        "--",
        "/bin/busybox",
        "sh",
        "-c",
        "echo up; exec sleep 1001",
      ]);
      await terminal.until("up\r\n");
      terminal.hangUp();
      const { status, signal } = await terminal.ended;
      // Whoever became the command is ended by the signal itself.
      expect([status, signal]).toEqual(way.includes("@") && !way.includes("pid") ? [null, "SIGHUP"] : [129, null]);
    });
  });
}

for (const way of ["run", "run @hosted", "run --pid-namespace"]) {
  test(`fallthru ${way}: suspend in a shell inside stops it, and fg brings it back`, async () => {
    const terminal = await openShell();
    await enter(terminal, `$F ${way} --env PS1='in: ' -- bash --norc --noediting`);
    await terminal.until("in: ");
    for (let round = 0; round < 3; round++) {
      await enter(terminal, "suspend -f");
      await terminal.until("Stopped");
      await terminal.until(prompt);
      await enter(terminal, "fg");
      await terminal.until("\r\n");
      await pause(50);
      await enter(terminal, "echo here $((6 * 7))");
      await terminal.until("here 42\r\nin: ");
    }
    await enter(terminal, "exit 6");
    await terminal.until(prompt);
    await enter(terminal, "echo status $?");
    await terminal.until("status 6\r\n");
    await close(terminal);
  });
}
