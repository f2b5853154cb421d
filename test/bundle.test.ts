import { beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
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

test("a start loads one chunk, and `run` no other", () => {
  expect(importsOf("main.js")).toEqual([]);
  expect(importsOf("hot.js")).toEqual([]);
  expect(chunks.get("hot.js")).toMatch(/name: "run", load: async \(\) => run\b/);
});

test("the service's client loads no chunk, but for a terminal", () => {
  const [start = "", client = ""] = (chunks.get("main.js") ?? "").split(/^function client\(\) \{$/m);
  expect(start).toContain("await Promise.resolve(client())");
  expect(client).toMatch(/\bfunction sendAllWith\b/);
  expect(client.match(/\bimport\(.*/g)).toEqual([expect.stringMatching(/^import\("\.\/chunk-\w+\.js"\);$/)]);
  expect(client).toMatch(/\{ Relay: \w+ \} = await import\(/);
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

const top = resolve(import.meta.dirname, "..");

/** A source file and all that is loaded with it, each with what imports it. Types are nothing to load. */
function closure(file: string, by = "", found = new Map<string, string>()): Map<string, string> {
  if (found.has(file)) return found;
  found.set(file, by);
  const waitedFor = /^(?:import|export)\b(?!\s+type\b)(?:[^"';=()]*?\bfrom)?\s*"([^"\n]+)"/gm;
  for (const [, path = ""] of readFileSync(join(top, file), "utf8").matchAll(waitedFor)) {
    if (path.startsWith(".")) closure(relative(top, resolve(top, dirname(file), path)), file, found);
    else found.set(path, file);
  }
  return found;
}

// Each of Node's own modules costs a start 0.3 to 3 ms, and what our union consists of half as much as all else of `end`.
const frontends = ["begin", "end", "show"].map((name) => `frontend/schroot/${name}`);
test.each([
  "cli/dispatch",
  "cli/commands/begin",
  "cli/commands/end",
  "cli/commands/run-once",
  "cli/schroot-here",
  ...frontends,
])("%s.ts loads nothing of our own union, which few sessions have, and no module of Node's", (file) => {
  const loaded = [...closure(`src/${file}.ts`)];
  expect(loaded.length).toBeGreaterThan(20);
  const dear = /^(?:src\/(?:union|fuse|mount\/fallthru)\/|(?!src\/))/;
  expect(loaded.filter(([each]) => dear.test(each)).map(([each, by]) => `${each}, by ${by}`)).toEqual([]);
});

// What they need now and then is loaded then: a description that was changed, what killed processes left, a view of the host; and what
// ends a run's session, while its command runs.
const rare = "chroot/config chroot/profile chroot/types/index mount/host session/end session/processes session/remains";
test.each([
  ["begin", rare],
  ["run-once", rare],
  ["end", "chroot/kept chroot/names mount/attach mount/overlay/mount session/layers session/scripts"],
])("%s.ts loads nothing that it rarely needs, or needs later", (verb, names) => {
  const loaded = closure(`src/cli/commands/${verb}.ts`);
  expect(names.split(" ").filter((name) => loaded.has(`src/${name}.ts`))).toEqual([]);
});
