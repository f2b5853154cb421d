import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { temporaryDirectory } from "../support/directories.ts";
import { running, untilRuns } from "../support/leftovers.ts";
import { as, nobody, Service } from "../support/service.ts";
import { Terminal } from "../support/terminal.ts";

const prompt = "> ";

/** A shell on a terminal, as nobody, from which the service is asked. */
async function shell(): Promise<Terminal> {
  const terminal = new Terminal([...as(nobody), "bash", "--norc", "--noediting"], {
    env: { PS1: prompt, ENV: undefined, HOME: "/", HISTFILE: undefined, LC_ALL: "C" },
    directory: "/",
    size: { columns: 91, rows: 33 },
  });
  await terminal.until(prompt);
  return terminal;
}

function line(words: readonly string[]): string {
  return `${words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ")}\n`;
}

async function end(terminal: Terminal): Promise<void> {
  terminal.hangUp();
  await terminal.ended;
}

test("a command of the service has a terminal: the caller's size, settings of its own, /dev/tty, a foreground", async () => {
  await using service = await new Service().start();
  const terminal = await shell();
  const script = "stty size; test -t 0 && test -t 1 && test -t 2 && echo three; echo yes >/dev/tty; ps -o stat= -p $$";
  terminal.type(line(service.client(["run", "sh", "-c", script])));
  const shown = await terminal.until(/\+\r\n> /);
  expect(shown).toContain("33 91\r\nthree\r\nyes\r\n");
  terminal.type("stty -a | grep -c -e ' icanon .* echo '\n");
  await terminal.until(/\r\n1\r\n> /);
  await end(terminal);
});

test("Ctrl-C ends the command alone, and the terminal is the shell's again", async () => {
  await using service = await new Service().start();
  const terminal = await shell();
  terminal.type(
    line(
      service.client(["run", "sh", "-c", "trap 'echo caught; exit 3' INT; echo re''ady; while :; do sleep 0.01; done"]),
    ),
  );
  await terminal.until("\nready");
  terminal.type("\x03");
  await terminal.until(/caught\r\n> /);
  terminal.type("echo status $?\n");
  await terminal.until(/\nstatus 3\r\n> /);
  await end(terminal);
});

test("a window is closed on a command that looks at no terminal, below a program that minds no hang-up: it is hung up on", async () => {
  await using service = await new Service().start();
  const script = `trap '' HUP; ${line(service.client(["run", "sh", "-c", "echo re''ady; exec sleep 1000"])).trim()}; :`;
  const terminal = new Terminal([...as(nobody), "sh", "-c", script], { directory: "/" });
  await terminal.until("ready");
  await untilRuns("sleep 1000");
  terminal.hangUp();
  await terminal.ended;
  expect(running("sleep 1000")).toEqual([]);
});

test("Ctrl-Z stops the command and its client, and fg wakes both", async () => {
  await using service = await new Service().start();
  const terminal = await shell();
  terminal.type(line(service.client(["run", "sh", "-c", "echo re''ady; read word; echo got $word; exit 4"])));
  await terminal.until("\nready");
  terminal.type("\x1a");
  await terminal.until(/Stopped.*\r\n> /);
  terminal.type("stty -a | grep -c -e ' icanon .* echo '\n");
  await terminal.until(/\r\n1\r\n> /);
  terminal.type("fg\n");
  await terminal.until(/\n'.*\r\n/);
  terminal.type("word\n");
  await terminal.until("got word\r\n> ");
  terminal.type("echo status $?\n");
  await terminal.until(/\nstatus 4\r\n> /);
  await end(terminal);
});

test("a shell inside has job control, and sees the window change", async () => {
  await using service = await new Service().start();
  const terminal = await shell();
  terminal.type(line(service.client(["run", "env", "PS1=inside ", "bash", "--norc", "--noediting"])));
  await terminal.until(/\ninside /);
  terminal.type("sh -c 'echo sle''eps; exec sleep 1000'\n");
  await terminal.until("\nsleeps");
  terminal.type("\x1a");
  await terminal.until(/Stopped.*\r\ninside /);
  terminal.resize({ columns: 70, rows: 20 });
  terminal.type("until test \"$(stty size)\" = '20 70'; do sleep 0.01; done; kill %1; echo si''zed\n");
  await terminal.until("sized\r\n");
  terminal.type("exit 9\n");
  await terminal.until(/\n> /);
  terminal.type("echo status $?\n");
  await terminal.until(/\nstatus 9\r\n> /);
  await end(terminal);
});

test("a client in the background neither stops nor takes keys", async () => {
  await using service = await new Service().start();
  const terminal = await shell();
  terminal.type(`${line(service.client(["run", "sh", "-c", "echo begun; sleep 0.3; echo do''ne"])).trimEnd()} &\n`);
  await terminal.until("begun\r\n");
  terminal.type("echo ke''ys\n");
  await terminal.until("\nkeys\r\n");
  await terminal.until("done\r\n");
  terminal.type("wait; jobs; echo en''d\n");
  expect(await terminal.until(/\nend\r\n/)).not.toContain("Stopped");
  await end(terminal);
});

test("where standard output is no terminal, nothing is done to the one that is there", async () => {
  await using service = await new Service().start();
  const terminal = await shell();
  terminal.type(`${line(service.client(["run", "sh", "-c", "stty size; tty; echo x"])).trimEnd()} | tr x y\n`);
  expect(await terminal.until(/\ny\r\n> /)).toMatch(/33 91\r\n\/dev\/pts\/\d+\r\ny/);
  await end(terminal);
});

test("what a command pushes into its terminal (TIOCSTI) never reaches the caller's", async () => {
  await using service = await new Service().start();
  const terminal = await shell();
  const push = String.raw`ioctl(STDIN, 0x5412, my $c = $_) or die for split //, "echo pu" . "shed\n"`;
  const script = `perl -e '${push}' 2>/dev/null || echo refused; echo o''ver`;
  terminal.type(line(service.client(["as", "0", "run", "sh", "-c", script])));
  await terminal.until(/\nover\r\n/);
  await terminal.until("> ");
  terminal.type("echo quiet\n");
  expect(await terminal.until(/\nquiet\r\n> /)).not.toContain("\npushed");
  await end(terminal);
});

test("a client that is killed takes its command along, also one that minds no hangup", async () => {
  await using service = await new Service().start();
  const terminal = await shell();
  const script = "trap '' HUP; echo it $$; while :; do sleep 1; done";
  terminal.type(`${line(service.client(["run", "sh", "-c", script])).trimEnd()} & echo client $!\n`);
  const shown = await terminal.until(/it \d+\r\n/);
  const [, client, command] = /client (\d+)\r[^]*it (\d+)\r/.exec(shown) ?? [];
  process.kill(Number(client), "SIGKILL");
  while (existsSync(`/proc/${command}`)) await sleep(20);
  await end(terminal);
});

test("a terminal that is closed is closed for the command, too", async () => {
  await using service = await new Service().start();
  const terminal = await shell();
  const file = join(temporaryDirectory(), "file");
  const script = `trap 'echo hung up >${file}; exit' HUP; echo re''ady; while :; do sleep 0.01; done`;
  terminal.type(line(service.client(["as", "0", "run", "sh", "-c", script])));
  await terminal.until("ready");
  await end(terminal);
  while (!existsSync(file)) await sleep(20);
});
