// Runs every line of docs/schroot.md's tables through the real schroot and through ours, and compares.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "bun:test";
import { makeTwins, runTwin } from "../support/schroot.ts";

const page = readFileSync(resolve(import.meta.dirname, "../../docs/schroot.md"), "utf8");
const rows = [...page.matchAll(/^\| `(.+?)` \| (same|better) \| (.*?) ?\|$/gm)].map(([, line = "", verdict, why]) => ({
  line: line.replaceAll("\\|", "|"),
  verdict,
  why,
}));

const base = makeTwins();
const lines = rows.map(({ line }) => line);
const [theirs, ours] = [await runTwin(base, "schroot", lines), await runTwin(base, "fallthru", lines)];

test("docs/schroot.md has tables, and says what is better about what differs", () => {
  expect(rows.length).toBeGreaterThan(100);
  expect(rows.length).toBe(page.split("\n").filter((text) => text.startsWith("| `")).length);
  expect(rows.filter(({ verdict, why }) => verdict === "better" && why === "")).toEqual([]);
});

test.each(rows.map(({ line, verdict }, index) => [line, verdict, index] as const))("%s: %s", (line, verdict, index) => {
  const [their, our] = [theirs[index], ours[index]].map((said) => JSON.stringify({ line, ...said }, null, 1));
  if (verdict === "same") expect(our).toBe(their ?? "");
  else expect(our).not.toBe(their ?? "");
  // What is better is so in its words alone.
  expect(ours[index]?.status).toBe(theirs[index]?.status);
});
