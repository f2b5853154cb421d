// deadline: 600
// Runs every line of docs/schroot.md's tables through the real schroot and through ours, and compares.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "bun:test";
import { Heard, schrootMessages } from "../support/catalogue.ts";
import { makeTwins, runTwin, type Twin } from "../support/schroot.ts";

const page = readFileSync(resolve(import.meta.dirname, "../../docs/schroot.md"), "utf8");
const rows = [...page.matchAll(/^\| `(.+?)` \| (same|better|works|fails) \| (.*?) ?\|$/gm)].map(
  ([, line = "", verdict = "", why]) => ({
    line: line.replaceAll("\\|", "|"),
    verdict: verdict as "same" | "better" | "works" | "fails",
    why,
  }),
);

/** Messages that no line brings about. */
const unsaid = [...page.matchAll(/^\| `([^`]+)` \| ([^|]+) \|$/gm)].map(([, message = ""]) => message);

const base = makeTwins();
const lines = rows.map(({ line }) => line);
const run = (twin: Twin) => runTwin(base, twin, lines, { service: true });
const [theirs, ours] = await Promise.all([run("schroot"), run("fallthru")]);

test("docs/schroot.md has tables, and says what is better about what differs", () => {
  expect(rows.length).toBeGreaterThan(100);
  const all = page.split("\n").filter((text) => text.startsWith("| `"));
  expect(rows.length + unsaid.length).toBe(all.length);
  expect(rows.filter(({ verdict, why }) => verdict !== "same" && why === "")).toEqual([]);
});

test("every message of schroot's own is said by it in one of the lines, or stands in the table of the others", () => {
  const heard = new Heard(theirs.map(({ stdout, stderr }) => `${stdout}\n${stderr}`).join("\n"));
  // Where schroot is installed without its translations there is no list of them.
  const messages = schrootMessages();
  const missing = messages.filter((message) => !heard.has(message));
  expect(missing.map((message) => message.replaceAll("\n", " ").trim()).toSorted()).toEqual(
    messages.length === 0 ? [] : unsaid.toSorted(),
  );
});

test.each(rows.map(({ line, verdict }, index) => [line, verdict, index] as const))("%s: %s", (line, verdict, index) => {
  const [expected, said] = [theirs[index], ours[index]].map((said) => JSON.stringify({ line, ...said }, null, 1));
  if (verdict === "same") expect(said).toBe(expected ?? "");
  else expect(said).not.toBe(expected ?? "");
  // What is better is so in its words alone; what works or fails does so where schroot says the opposite.
  const their = theirs[index]?.status;
  expect(ours[index]?.status).toBe({ same: their, better: their, works: 0, fails: 1 }[verdict]);
  if (verdict === "works" || verdict === "fails") expect(their).toBe(verdict === "works" ? 1 : 0);
});
