import { expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { expressionOf } from "./expression.ts";

const names = ["FOO", "FOO1", "X-Y", "a]b", "a\\b", "LD_X", "_", "foo", "^x", "a b", "w", "[", "0"];

/** What grep -E finds, which takes POSIX's expressions. */
function found(expression: string): string[] {
  const program = 'printf "%s\\n" "$@" | LC_ALL=C grep -E -e "$0" || true';
  return execFileSync("sh", ["-c", program, expression, ...names], { encoding: "utf8" })
    .split("\n")
    .filter(Boolean);
}

test.each([
  "[[:digit:]]",
  "[^[:alpha:]_]",
  "^[[:upper:][:digit:]_]+$",
  String.raw`[\w]`,
  "[]]",
  "[^]a]",
  "[[.-.]]",
  "[a^]",
  "^(LD_.*|FOO)$",
  "[[:space:]]b",
  "[[:punct:]]",
  String.raw`\[`,
  "[[]",
  "[[=a=]x]",
  "^[A-F]",
])("expressionOf() finds with %s what grep -E finds", (expression) => {
  expect(names.filter((name) => expressionOf(expression).test(name))).toEqual(found(expression));
});

test("expressionOf() refuses what can't be one", () => {
  for (const wrong of ["([", "[a", "[[:nosuch:]]", "(", "[[:digit:]", "[[:__proto__:]]"])
    expect(() => expressionOf(wrong)).toThrow(SyntaxError);
});
