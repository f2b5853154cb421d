import { basename, dirname } from "node:path";

/** At the top of src/, for all. */
const shared = ["error.ts", "places.ts"];

/** Folder below src/ → the folders and packages that it may import, itself and the shared files aside. */
export type ImportTable = ReadonlyMap<string, readonly string[]>;

/** Reads the table `| folder | may import … |` of ARCHITECTURE.md. */
export function readImportTable(markdown: string): ImportTable {
  const table = new Map<string, string[]>();
  const rows = /^\| folder \| may import.*\n\|[-| ]+\n((?:\|.*\n)+)/m.exec(markdown)?.[1]?.trimEnd().split("\n") ?? [];
  for (const row of rows) {
    const [, folders = "", rule = ""] = row.split("|").map((cell) => cell.trim());
    for (const folder of folders.split(", ")) table.set(folder, parseRule(rule, [...table.keys()]));
    // An exception inside a rule: "kernel (`fuse/wire`: nothing)"
    for (const [, inner = "", exception = ""] of rule.matchAll(/\(`([\w/]+)`: ([^)]*)\)/g)) {
      table.set(inner, parseRule(exception, []));
    }
  }
  return table;
}

/** One cell: "union, fuse", "layer, kernel; never fuse", "everything above it, kernel through session only". */
function parseRule(rule: string, above: readonly string[]): string[] {
  const allowed = rule.replace(/\(.*?\)/g, "").replace(/;.*/, "");
  return allowed.split(",").flatMap((word) => {
    const name = word.trim();
    if (name === "nothing") return [];
    const [first = "", ...rest] = name.split(" ");
    if (name === "everything above it") return above.filter((folder) => !rule.includes(`${folder} through`));
    return rest.length === 0 ? [first] : [];
  });
}

/** What the file `path` (from the repository's top) may import. */
export function allowedImports(table: ImportTable, path: string): string[] {
  const folder = folderOf(table, path);
  const own = table.get(folder);
  // Whoever may import a folder may import those in it that have a row of their own.
  const within = (name: string) => [name, ...[...table.keys()].filter((inner) => inner.startsWith(`${name}/`))];
  if (own !== undefined) return [...[folder, ...own].flatMap(within), ...shared];
  // At the top of src/ stand only these, and the library, which only passes things on.
  return folder === "index.ts" ? [...table.keys(), ...shared].filter((name) => name !== "cli") : [];
}

/** The row of the table that a file of src/ belongs to, or its own name where it stands at the top. */
export function folderOf(table: ImportTable, path: string): string {
  if (dirname(path) === "src") return basename(path);
  let folder = dirname(path).slice("src/".length);
  while (folder.includes("/") && !table.has(folder)) folder = dirname(folder);
  return folder;
}

/** The modules that a source text imports, loads with `import()` or `require()`, or passes on. */
export function importsOf(text: string): string[] {
  const statement = /^(?:import|export)\b(?:[^"';=()]*?\bfrom)?\s*["']([^"'\n]+)["']/gm;
  const call = /\b(?:import|require)\(\s*["']([^"'\n]+)["']\s*\)/g;
  return [...text.matchAll(statement), ...text.matchAll(call)].map((found) => found[1] ?? "");
}
