import { expect, test } from "bun:test";
import { defaultFilter, makeEnvironment } from "./environment.ts";
import { isSessionId } from "./id.ts";

const user = { name: "u", uid: 4711, gid: 4711, groups: [], home: "/home/u", shell: "/bin/sh" };

/** Words made of what the expressions are about, among them many that nearly fit. */
function* words(count: number): Generator<string> {
  const parts = [
    ...defaultFilter.slice(2, -2).split("|"),
    "LD_",
    "LD",
    "TERM",
    "X",
    "_",
    "-",
    ".",
    "",
    "ä",
    "\n",
    "@",
    "9",
    "z",
  ];
  for (let index = 0; index < count; index++) {
    const part = (step: number): string => parts[(index * step + (index >> 3)) % parts.length] ?? "";
    yield part(1);
    yield part(7) + part(3);
    yield part(5) + part(11) + part(13);
  }
}

test("the default filter drops what its expression matches, and nothing else", () => {
  const expression = new RegExp(defaultFilter);
  for (const word of words(2000)) {
    if (word === "" || word.includes("\n") || word === "FALLTHRU_SESSION") continue;
    const before = process.env[word];
    process.env[word] = "1";
    const env = makeEnvironment("s", user, "/bin/sh", { preserve: true, filter: defaultFilter, given: {} });
    if (before === undefined) delete process.env[word];
    else process.env[word] = before;
    expect({ word, kept: word in env }).toEqual({ word, kept: !expression.test(word) });
  }
});

test("another filter drops what it matches", () => {
  const env = makeEnvironment("s", user, "/bin/sh", {
    preserve: false,
    filter: "^(HOME|SH.*)$",
    given: { HOME: "/x" },
  });
  expect(Object.keys(env).toSorted()).not.toContain("SHELL");
  expect(env).toMatchObject({ HOME: "/x", LOGNAME: "u", FALLTHRU_SESSION: "s" });
});

test("isSessionId() takes schroot's names", () => {
  const expression = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
  for (const word of words(2000)) expect({ word, ok: isSessionId(word) }).toEqual({ word, ok: expression.test(word) });
  expect([isSessionId("a".repeat(128)), isSessionId("a".repeat(129)), isSessionId("")]).toEqual([true, false, false]);
});
