import { beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { temporaryDirectory } from "./support/directories.ts";

let chunks: ReadonlyMap<string, string>;

beforeAll(() => {
  const directory = temporaryDirectory();
  execFileSync(process.execPath, [resolve(import.meta.dirname, "../tools/bundle.ts"), directory]);
  chunks = new Map(readdirSync(directory).map((name) => [name, readFileSync(join(directory, name), "utf8")]));
});

/** What a chunk waits for before it runs: its imports, but not its import()s. */
function importsOf(name: string): string[] {
  const found = (chunks.get(name) ?? "").matchAll(/^import\s*(?:\{[^}]*\}\s*from\s*)?"\.\/([^"]+)";/gm);
  return [...new Set(Array.from(found, ([, file = ""]) => file))];
}

test("a start loads two chunks, and `run` no other", () => {
  expect(importsOf("main.js")).toEqual(["hot.js"]);
  expect(importsOf("hot.js")).toEqual([]);
  expect(chunks.get("hot.js")).toMatch(/name: "run", load: async \(\) => run\b/);
});

test("no chunk waits for one that was put into another, and none for one that isn't there", () => {
  const emptied = [...chunks].filter(([, code]) => /^export \{[^}]*\} from "\.\/hot[^"]*";\n$/.test(code));
  expect(emptied.length).toBeGreaterThan(10);
  const names = new Set(emptied.map(([name]) => name));
  for (const name of chunks.keys()) {
    for (const imported of importsOf(name)) {
      expect({ name, imported, isEmptied: names.has(imported) }).toEqual({ name, imported, isEmptied: false });
      expect(chunks.has(imported)).toBe(true);
    }
  }
});
