import { describe, expect, test } from "bun:test";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { loadShown, type Verb, verbs } from "../src/cli/commands/index.ts";
import { dispatch } from "../src/cli/dispatch.ts";

const top = resolve(import.meta.dirname, "..");
const pages = globSync(["*.md", "docs/*.md", "bench/*.md"], { cwd: top }).toSorted();

/** Verbs that understand their command lines and do nothing. */
const idle: readonly Verb[] = verbs.map((verb) => ({
  ...verb,
  load: async () => ({ ...(await verb.load()), run: () => ({}) }),
}));

/** The command lines of Fallthru's in a page: lines of code blocks, and code in the text. */
function commandLines(text: string): string[] {
  const blocks = [...text.matchAll(/^```\w*\n(.*?)^```/gms)].flatMap(([, block = ""]) => block.split("\n"));
  const inText = [...text.replace(/^```.*?^```/gms, "").matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);
  return [...blocks, ...inText].flatMap((line) => {
    const found = /^(?:[#$] )?(?:sudo )?(?:\.\/)?fallthru (.*)$/.exec(line.trim());
    const rest = found?.[1] ?? "…";
    // What stands for something else: `fallthru …`, `fallthru VERB --help`, `fallthru run [options]`.
    return /…|\[/.test(rest) || /^[A-Z]/.test(rest) ? [] : [rest];
  });
}

/** The words of a line of shell, up to a comment, a pipe or the next command. */
function shellWords(line: string): string[] {
  const words: string[] = [];
  for (const [, quoted, double, plain, stop] of line.matchAll(
    /'([^']*)'|"([^"]*)"|([^\s'"#|;&<>][^\s'"|;&<>]*)|([#|;&<>])/g,
  )) {
    if (stop !== undefined) break;
    words.push(quoted ?? double ?? plain ?? "");
  }
  return words;
}

test("shellWords() ends at a pipe and keeps quoted words whole", () => {
  expect(shellWords("run -- sh -c 'rm -rf a; ls | wc' # why")).toEqual(["run", "--", "sh", "-c", "rm -rf a; ls | wc"]);
  expect(shellWords("list --json | jq .")).toEqual(["list", "--json"]);
});

describe.each(pages)("%s", (page) => {
  const text = readFileSync(join(top, page), "utf8");

  test("has only command lines that Fallthru understands", async () => {
    for (const line of commandLines(text)) {
      expect(`${line} -> ${await dispatch(shellWords(line), idle)}`).toBe(`${line} -> 0`);
    }
  });

  test("has only links that lead somewhere", () => {
    const links = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target = ""]) => target);
    const dead = links.filter((link) => !/^https?:/.test(link) && !existsSync(join(top, dirname(page), link)));
    expect(dead).toEqual([]);
  });
});

test("the verbs' own examples are understood", async () => {
  for (const { examples } of await loadShown()) {
    for (const { line } of examples) {
      const [program, ...words] = shellWords(line.replace(/^source <\((.*)\)$/, "$1"));
      if (program === "fallthru") expect(`${line} -> ${await dispatch(words, idle)}`).toBe(`${line} -> 0`);
    }
  }
});
