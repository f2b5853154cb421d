import { describe, expect, test } from "bun:test";
import { parseConfig } from "./parse.ts";
import { problemText } from "./problem.ts";

/** Keys and values of the only stanza. */
function keysOf(text: string): Record<string, string> {
  const { stanzas } = parseConfig(text, "x.conf");
  expect(stanzas).toHaveLength(1);
  return Object.fromEntries(Array.from(stanzas[0]?.keys ?? [], ([key, { value }]) => [key, value]));
}

function problemsOf(text: string): string[] {
  const { stanzas, problems } = parseConfig(text, "x.conf");
  return [...problems, ...stanzas.flatMap((stanza) => stanza.problems)].map(problemText);
}

describe("parseConfig() takes what was meant", () => {
  const cases: readonly [what: string, text: string, keys: Record<string, string>][] = [
    ["plain lines", "[a]\ntype=directory\ndirectory=/tmp\n", { type: "directory", directory: "/tmp" }],
    ["no line end at the end", "[a]\ntype=directory", { type: "directory" }],
    ["white space around keys and values", "[a]\n  users\t= root , srb1  \n", { users: "root , srb1" }],
    ["CRLF", "[a]\r\ntype=directory\r\ndirectory=/tmp\r\n", { type: "directory", directory: "/tmp" }],
    ["a byte order mark", "\uFEFF[a]\ntype=plain\n", { type: "plain" }],
    ["white space around the name", " [ a ] \ntype=plain\n", { type: "plain" }],
    ["a comment behind the name", "[a] # mine\ntype=plain\n", { type: "plain" }],
    ["comments", "# one\n[a]\n#users=root\n  # two\ntype=plain\n", { type: "plain" }],
    ["empty lines", "\n[a]\n   \n\t\n\ntype=plain\n\n", { type: "plain" }],
    ["= in a value", '[a]\ndescription=a=b;c "q"\n', { description: 'a=b;c "q"' }],
    ["# in a value", "[a]\ndescription=a # b\n", { description: "a # b" }],
    ["an empty value", "[a]\nusers=\n", { users: "" }],
    ["translations", "[a]\ndescription[fr]=x y  \n", { "description[fr]": "x y" }],
  ];
  for (const [what, text, keys] of cases) test(what, () => expect(keysOf(text)).toEqual(keys));
});

describe("parseConfig() names file and line of", () => {
  const cases: readonly [text: string, problem: string][] = [
    ["type=plain\n[a]\n", 'x.conf:1: bad line "type=plain" before the first [NAME]'],
    ["[a]\njunk\n", 'x.conf:2: [a] bad line "junk"'],
    ["[a]\n=x\n", 'x.conf:2: [a] bad line "=x"'],
    ["[a]\ntype=plain\n\ntype=file\n", 'x.conf:4: [a] the key "type" is there twice; first on line 2'],
    ["[a]\ntype=plain\n type =file\n", 'x.conf:3: [a] the key "type" is there twice; first on line 2'],
    ["[]\ntype=plain\n", 'x.conf:1: bad line "[]"'],
    ["[a\ntype=plain\n", 'x.conf:1: bad line "[a"'],
    ["[a]]\n", 'x.conf:1: bad line "[a]]"'],
    ["[a][b]\n", 'x.conf:1: bad line "[a][b]"'],
    ["[a]junk\n", 'x.conf:1: bad line "[a]junk"'],
  ];
  for (const [text, problem] of cases) test(JSON.stringify(text), () => expect(problemsOf(text)).toEqual([problem]));
});

describe("parseConfig() warns, with file and line, of", () => {
  const space = "[a] white space around a key or value is dropped, which schroot takes for a part of it";
  const cases: readonly [text: string, ...warnings: string[]][] = [
    ["[a]\ntype=plain\ndescription=a b # c\n# d\n"],
    ["[a]\nusers = root\n", `x.conf:2: ${space}`],
    ["[a]\nusers= root\n\tgroups=x\naliases=y \n", `x.conf:2: ${space}`, `x.conf:3: ${space}`, `x.conf:4: ${space}`],
    ["[a]\r\ntype=plain\r\n", "x.conf:1: lines end with CR LF, which schroot can't read"],
    [
      "; x\n[a]\n;users=y\n",
      ...[1, 3].map((at) => `x.conf:${at}: is taken for a comment, which schroot has with # only`),
    ],
    ["[a]\ntype=plain\ntype=plain\n", 'x.conf:3: [a] the key "type" is there twice; first on line 2'],
  ];
  for (const [text, ...expected] of cases) {
    test(JSON.stringify(text), () => {
      const { stanzas, problems, warnings } = parseConfig(text, "x.conf");
      expect([...problems, ...stanzas.flatMap((stanza) => stanza.problems)]).toEqual([]);
      expect([...warnings, ...stanzas.flatMap((stanza) => stanza.warnings)].map(problemText)).toEqual(expected);
    });
  }
});

test("parseConfig() keeps a problem beside the stanza that it spoils", () => {
  const { stanzas, problems } = parseConfig("[good]\ntype=plain\n\n[bad]\njunk\n[c\nusers=x\n[last]\n", "x.conf");
  expect(problems).toEqual([]);
  expect(stanzas.map(({ name, line, lastLine }) => [name, line, lastLine])).toEqual([
    ["good", 1, 2],
    ["bad", 4, 5],
    ["", 6, 7],
    ["last", 8, 8],
  ]);
  expect(stanzas.map((stanza) => stanza.problems.length)).toEqual([0, 1, 1, 0]);
});

test("parseConfig() takes bytes, and shows those that aren't UTF-8 as U+FFFD", () => {
  const { stanzas } = parseConfig(Buffer.from("[a]\ndescription=caf\xe9\n", "latin1"), "x.conf");
  expect(stanzas[0]?.keys.get("description")).toEqual({ value: "caf\uFFFD", line: 2 });
});
