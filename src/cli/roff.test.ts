import { beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { run } from "../../test/support/fallthru.ts";
import { verbs } from "./commands/index.ts";

const share = temporaryDirectory("share");
const pages = join(share, "man/man1");
const shown = verbs.filter(({ isHidden }) => isHidden !== true);
const pageNames = ["fallthru", ...shown.map(({ name }) => `fallthru-${name.replace(" ", "-")}`)];

beforeAll(async () => {
  const made = await run([process.execPath, resolve(import.meta.dirname, "man.ts"), share]);
  expect(made).toEqual({ status: 0, signal: null, stdout: "", stderr: "" });
});

test("there is a page for the program and for each verb", () => {
  expect(readdirSync(pages).toSorted()).toEqual(pageNames.map((name) => `${name}.1`).toSorted());
});

test.each(["groff -ww -man -Tutf8", "mandoc -Tlint", "man --warnings --local-file"])(
  "%s has nothing to say against them",
  async (command) => {
    for (const name of pageNames) {
      const words = [...command.split(" "), join(pages, `${name}.1`)];
      const { status, stdout, stderr } = await run(words, { env: { MANPAGER: "cat" } });
      expect({ name, status, stderr }).toEqual({ name, status: 0, stderr: "" });
      if (command.startsWith("mandoc")) expect(stdout).toBe("");
    }
  },
);

test("whatis(1) finds the name and the summary of each", async () => {
  const { status, stdout } = await run(["lexgrog", ...pageNames.map((name) => join(pages, `${name}.1`))]);
  expect(status).toBe(0);
  for (const name of pageNames) expect(stdout).toContain(`.1: "${name} - `);
});

test("a page shows what is typed as it is typed", async () => {
  const { stdout } = await run(["man", "--local-file", join(pages, "fallthru-run.1")], {
    env: { MANPAGER: "cat", MANWIDTH: "120", LC_ALL: "C.UTF-8" },
  });
  for (const text of [
    "fallthru run [options] [SOURCE] [-- COMMAND [ARGUMENT ...]]",
    "-b, --bind HOST[:INSIDE[:ro]]",
    "fallthru run bookworm --user build --bind $PWD:/src -d /src --network none -- make",
    "128+N  The command was ended by signal N.",
  ]) {
    expect(stdout).toContain(text);
  }
});

test("the completion scripts are where each shell looks for them", () => {
  for (const file of [
    "bash-completion/completions/fallthru",
    "zsh/site-functions/_fallthru",
    "fish/vendor_completions.d/fallthru.fish",
  ]) {
    expect(readFileSync(join(share, file), "utf8")).toContain("__complete");
  }
});
