import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { random } from "../../../test/support/changes.ts";
import { compareVersions } from "./packages.ts";

test("compareVersions() orders as dpkg does", () => {
  const next = random(3);
  const parts = ["1", "2", "10", "010", "a", "b", "Z", "~", "~rc", "+", ".", "."];
  const version = (): string => {
    const text = Array.from({ length: 1 + next(4) }, () => parts[next(parts.length)]).join("");
    return `${next(4) === 0 ? "1:" : ""}${next(9)}${text}${next(2) === 0 ? `-${next(12)}${parts[next(10)]}` : ""}`;
  };
  const pairs = Array.from({ length: 300 }, () => [version(), version()] as const);
  const script = pairs.map(([one, other]) => `dpkg --compare-versions '${one}' lt '${other}'; echo $?`).join("\n");
  const answers = spawnSync("sh", ["-c", script], { encoding: "utf8" }).stdout.trim().split("\n");
  for (const [index, [one, other]] of pairs.entries())
    expect(`${one} ${other} ${compareVersions(one, other) < 0}`).toBe(`${one} ${other} ${answers[index] === "0"}`);
});
