// What ends `commit --interactive`, and picking after a run, before all is answered: nothing is committed. What else is asked: e2e/on-exit.test.ts.
import { afterEach, beforeEach, expect, test } from "bun:test";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeCommitRoot } from "../support/commits.ts";
import { executable, fallthru } from "../support/fallthru.ts";
import { leftoversAfter } from "../support/leftovers.ts";
import { Terminal } from "../support/terminal.ts";
import { describeTree } from "../support/tree.ts";

const { root, clean } = await makeCommitRoot(["one", "two"]);

beforeEach(async () => {
  await sleep(30);
});

afterEach(async () => {
  await fallthru(["end", "--all", "--force"]);
  rmSync("/var/lib/fallthru/sessions/.commits", { recursive: true, force: true });
});

/** How many lines were printed between a key and the next question. */
async function linesAfter(terminal: Terminal, key: string, next: string): Promise<string[]> {
  terminal.type(`${key}\n`);
  return (await terminal.until(next)).split("\r\n").slice(1, -1);
}

test("d, and s after a run, show as much as fits on the screen, and D and S all", async () => {
  const many = "cd /srv; mkdir -p new; for n in $(seq 300); do echo $n >new/$n; done";
  const terminal = new Terminal([executable, "run", "t", "--", "sh", "-c", many], { size: { columns: 80, rows: 24 } });
  const asks = "[d]iscard? ";
  await terminal.until(asks);
  const shown = await linesAfter(terminal, "s", asks);
  expect(shown).toHaveLength(23);
  expect(shown.at(-1)).toMatch(/^… and \d+ more lines \(S shows all of it\)$/);
  const all = await linesAfter(terminal, "S", asks);
  expect(all.length).toBeGreaterThan(300 * 6);
  expect(shown.slice(0, 22)).toEqual(all.slice(0, 22));
  await linesAfter(terminal, "p", question);
  const details = await linesAfter(terminal, "d", question);
  expect(details).toHaveLength(23);
  expect(details.at(-1)).toBe(`… and ${all.length - 22} more lines (D shows all of it)`);
  expect(await linesAfter(terminal, "D", question)).toEqual(all);
  terminal.type("q\n");
  await terminal.until(asks);
  terminal.type("d\n");
  await terminal.ended;
});

const script = "cd /srv; echo more >>one; echo more >>two; echo x >ümläut";
const question = "[y,n,a,q,d,?] ";
const leave = {
  "Ctrl-C": (terminal: Terminal) => terminal.type("\x03"),
  "Ctrl-D": (terminal: Terminal) => terminal.type("\x04"),
  "a closed window": (terminal: Terminal) => terminal.hangUp(),
};

for (const [what, act] of Object.entries(leave)) {
  test(`${what} in the middle of commit --interactive commits nothing`, async () => {
    await fallthru(["begin", "t", "--name", "s"]);
    await sleep(30);
    await fallthru(["run", "@s", "--", "sh", "-c", script]);
    const before = describeTree(root);
    const terminal = new Terminal([executable, "commit", "s", "--interactive"], { env: { LC_ALL: "C", LANG: "C" } });
    await terminal.until(question);
    terminal.type("y\n");
    await terminal.until(question);
    terminal.type("y\n");
    // Whatever the locale: what is shown is what the name is.
    expect(await terminal.until(question)).toContain("/srv/ümläut");
    act(terminal);
    expect(await terminal.ended).toEqual({
      status: { "Ctrl-C": 130, "Ctrl-D": 1, "a closed window": 129 }[what] ?? 0,
      signal: null,
    });
    expect(describeTree(root)).toEqual(before);
    expect(await fallthru(["log"])).toMatchObject({ status: 0, stdout: "" });
    expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
    expect(readFileSync(join(root, "srv/one"), "utf8")).toBe("one\nmore\n");
  });

  test(`${what} while picking at the question after a run commits nothing`, async () => {
    const before = describeTree(root);
    const terminal = new Terminal([executable, "run", "t", "--", "sh", "-c", script], { env: { LC_ALL: "C" } });
    await terminal.until("[d]iscard? ");
    terminal.type("p\n");
    await terminal.until(question);
    terminal.type("y\n");
    await terminal.until(question);
    act(terminal);
    // Nothing was picked, and it is asked again.
    if (what === "Ctrl-D") {
      await terminal.until("[d]iscard? ");
      terminal.type("d\n");
    }
    await terminal.ended;
    expect(describeTree(root)).toEqual(before);
    expect((await fallthru(["log"])).stdout).toBe("");
    await fallthru(["end", "--all"]);
    expect(await leftoversAfter(clean)).toEqual([]);
  });
}
