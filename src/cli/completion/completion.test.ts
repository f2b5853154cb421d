import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describeChroot, temporaryDirectory } from "../../../test/support/directories.ts";
import { run } from "../../../test/support/fallthru.ts";
import { Terminal } from "../../../test/support/terminal.ts";
import { verbs } from "../commands/index.ts";
import { answer } from "./answer.ts";
import { completionScript, type Shell, shells } from "./scripts.ts";

const names = { chroots: () => ["bookworm", "sid"], sessions: () => ["fix", "other"] };
const ask = async (words: readonly string[]) => {
  const { kind, words: found, prefix, from } = await answer(verbs, words, names);
  return { kind, words: found.map(({ word }) => word), prefix, from };
};

describe("answer()", () => {
  test.each([
    ["ru", ["run"]],
    ["chroot ", ["create", "import", "add", "remove", "update", "list"]],
    ["--v", ["--verbose", "--version"]],
    ["run ", ["host", "bookworm", "sid", "@fix", "@other"]],
    ["run @", ["@fix", "@other"]],
    ["run s", ["sid"]],
    ["run sid ", ["--"]],
    ["run --us", ["--user"]],
    ["run --user x --us", []],
    ["run --bind x --bi", ["--bind"]],
    ["run --network ", ["host", "none"]],
    ["run -p sid --network n", ["none"]],
    ["begin b", ["bookworm"]],
    ["end ", ["@fix", "@other"]],
    ["end f", ["fix"]],
    ["end @fix ", ["@other"]],
    ["info sid ", []],
    ["chroot remove ", ["bookworm", "sid"]],
    ["chroot create x --variant bu", ["buildd"]],
    ["completion ", ["bash", "zsh", "fish"]],
    ["nonsense ", []],
    ["init ", []],
  ])("%s", async (line, words) => {
    expect(await ask(line.split(" "))).toEqual({ kind: "words", words, prefix: "", from: 0 });
  });

  test.each([
    ["run --network=n", { kind: "words", words: ["none"], prefix: "--network=", from: 0 }],
    ["run --bind=/e", { kind: "file", words: [], prefix: "--bind=", from: 0 }],
    ["run -b ", { kind: "file", words: [], prefix: "", from: 0 }],
    ["run -u ", { kind: "user", words: [], prefix: "", from: 0 }],
    ["chroot add x ", { kind: "directory", words: [], prefix: "", from: 0 }],
    ["run sid -- ls -", { kind: "command", words: [], prefix: "", from: 3 }],
    ["-q chroot import x ", { kind: "file", words: [], prefix: "", from: 0 }],
  ])("%s", async (line, expected) => {
    expect(await ask(line.split(" "))).toEqual(expected as never);
  });
});

describe("in the shells themselves", () => {
  const folder = temporaryDirectory("completion");
  const env = { PATH: `${folder}:${process.env["PATH"]}`, TERM: "dumb", PS1: "$ ", HOME: folder, COLUMNS: "200" };

  beforeAll(() => {
    const main = resolve(import.meta.dirname, "../main.ts");
    writeFileSync(join(folder, "fallthru"), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`);
    chmodSync(join(folder, "fallthru"), 0o755);
    mkdirSync(join(folder, "data/inner"), { recursive: true });
    writeFileSync(join(folder, "data/archive.tar"), "");
    for (const shell of shells) writeFileSync(join(folder, `script.${shell}`), completionScript(shell));
    describeChroot("bookworm", "/srv");
    describeChroot("sid", "/srv", ["aliases=unstable"]);
  });

  const start: Readonly<Record<Shell, readonly string[]>> = {
    bash: ["bash", "--norc", "-i"],
    zsh: ["zsh", "-f", "-i"],
    fish: [],
  };
  const setup: Readonly<Record<Shell, string>> = {
    bash: "bind 'set bell-style none' 'set completion-query-items 0'; source script.bash",
    zsh: "PS1='$ '; unsetopt beep; bindkey -e; zstyle ':completion:*' insert-tab false; autoload -U compinit; compinit -u -D; source script.zsh",
    fish: "",
  };

  // A person's Tab key, in a shell on a terminal.
  describe.each(["bash", "zsh"] as const)("%s", (shell) => {
    let terminal: Terminal;
    beforeAll(async () => {
      terminal = new Terminal(start[shell], { env, directory: folder, size: { columns: 200, rows: 50 } });
      terminal.type(`${setup[shell]}; echo re''ady\n`);
      await terminal.until("ready");
    });
    afterAll(async () => {
      terminal.type("exit\n");
      await terminal.ended;
    });

    test.each([
      ["fallthru ru", "fallthru run"],
      ["fallthru chroot cr", "fallthru chroot create"],
      ["fallthru run bo", "fallthru run bookworm"],
      ["fallthru begin uns", "fallthru begin unstable"],
      ["fallthru run --network=n", "fallthru run --network=none"],
      ["fallthru run --netw", "fallthru run --network"],
      ["fallthru chroot import x data/arch", "fallthru chroot import x data/archive.tar"],
      ["fallthru chroot add x data/", "fallthru chroot add x data/inner"],
      ["fallthru run --bind=data/arch", "fallthru run --bind=data/archive.tar"],
      ["fallthru run sid -- cat data/arch", "fallthru run sid -- cat data/archive.tar"],
      ["fallthru run -u roo", "fallthru run -u root"],
    ])("%s", async (typed, completed) => {
      // Ctrl-A and Ctrl-E: the line becomes the arguments of a printf that shows them.
      terminal.type(`${typed}\t\u0001printf '[%s]\\n' \u0005 END\n`);
      const shown = await terminal.until("[END]\r\n");
      const words = [...shown.matchAll(/^\[(.*)\]\r$/gm)].map(([, word]) => word);
      expect(words.join(" ").replace(/\/? END$/, "")).toBe(completed);
    });
  });

  test.each([
    ["fallthru ru", ["run\trun a command, or a shell, in a throw-away view of a root"]],
    ["fallthru run bo", ["bookworm\tchroot"]],
    ["fallthru run --network=n", ["--network=none"]],
    ["fallthru chroot import x data/arch", ["data/archive.tar"]],
    ["fallthru chroot add x data/in", ["data/inner/"]],
    ["fallthru run --bind=data/arch", ["--bind=data/archive.tar"]],
    ["fallthru run sid -- cat data/arch", ["data/archive.tar"]],
    ["fallthru run -u roo", ["root"]],
  ])("fish: %s", async (line, expected) => {
    const command = `source script.fish; complete -C '${line}'`;
    const { stdout, stderr } = await run(["fish", "--no-config", "-c", command], { env, directory: folder });
    expect(stderr).toBe("");
    const found = stdout.trimEnd().split("\n");
    expect(
      found.map((word, at) => (expected[at]?.includes("\t") === true ? word : (word.split("\t")[0] ?? ""))),
    ).toEqual(expected);
  });
});
