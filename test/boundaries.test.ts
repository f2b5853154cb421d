// Holds src/ to the import table of ARCHITECTURE.md, and to what that page and STYLE.md say about files.
import { expect, test } from "bun:test";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { allowedImports, folderOf, importsOf, readImportTable } from "./support/imports.ts";

const top = resolve(import.meta.dirname, "..");
const table = readImportTable(readFileSync(join(top, "ARCHITECTURE.md"), "utf8"));
const files = globSync("src/**/*.ts", { cwd: top }).toSorted();
const sources = files.map((path) => ({ path, text: readFileSync(join(top, path), "utf8") }));

test("readImportTable() understands every row of ARCHITECTURE.md", () => {
  expect(table.get("kernel")).toEqual(["koffi"]);
  expect(table.get("fuse/wire")).toEqual([]);
  expect(table.get("union")).toEqual(["layer", "kernel"]);
  expect(table.get("daemon")).toEqual(["frontend", "session", "kernel"]);
  expect(table.get("cli")).toContain("session");
  expect(table.get("cli")).not.toContain("kernel");
  expect(brokenImports("src/union/tree.ts", 'import { a } from "../fuse/connection.ts";')).toEqual([
    "src/union/tree.ts imports ../fuse/connection.ts: it may import union, layer, kernel, error.ts, places.ts",
  ]);
  expect(brokenImports("src/fuse/wire/read.ts", 'export * from "../../kernel/fd.ts";')).toHaveLength(1);
  expect(brokenImports("src/session/a.ts", 'const a = await import("../cli/main.ts");')).toHaveLength(1);
});

test("every folder of src/ is in the import table, and none is called utils", () => {
  const folders = new Set(files.filter((path) => path.split("/").length > 2).map((path) => path.split("/")[1] ?? ""));
  expect([...folders].filter((folder) => !table.has(folder) || folder === "utils")).toEqual([]);
});

test("imports in src/ keep to the import table", () => {
  expect(sources.flatMap(({ path, text }) => brokenImports(path, text))).toEqual([]);
});

test("no file in src/, test/ or bench/ has more than 400 lines", () => {
  const all = globSync(["src/**/*.ts", "test/**/*.ts", "bench/**/*.ts"], { cwd: top });
  const lines = (path: string): number => readFileSync(join(top, path), "utf8").split("\n").length - 1;
  expect(all.filter((path) => lines(path) > 400)).toEqual([]);
});

test("src/ uses no Bun.*, so that the library runs on Node", () => {
  expect(sources.filter(({ text }) => /(?<![\w"'`.])Bun\./.test(text)).map(({ path }) => path)).toEqual([]);
});

/** A line for each import of one file that the table doesn't allow, with the list that it allows. */
function brokenImports(path: string, text: string): string[] {
  const isTest = path.endsWith(".test.ts");
  const allowed = allowedImports(table, path);
  return importsOf(text).flatMap((specifier) => {
    const target = targetOf(path, specifier);
    if (target === undefined || allowed.includes(target)) return [];
    if (isTest && (target === "bun:test" || target === "test/support")) return [];
    return [`${path} imports ${specifier}: it may import ${allowed.join(", ")}`];
  });
}

/** What the table would call an import: a folder, a package, a file at the top; undefined for Node's own modules. */
function targetOf(path: string, specifier: string): string | undefined {
  if (specifier.startsWith("node:")) return undefined;
  if (!specifier.startsWith(".")) return specifier;
  const target = join(dirname(path), specifier);
  if (!target.startsWith("src/")) return dirname(target);
  return folderOf(table, target);
}
