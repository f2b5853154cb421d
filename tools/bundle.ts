// `tools/bundle.ts DIR`: bundles src/cli/main.ts into DIR/main.js and chunks, of which each verb loads what it needs.
// --splitting makes a chunk for every set of verbs that share something; the dozen of them that only `run` waits for
// are put into one, hot.js.
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const hot = "src/cli/commands/run.ts";

const [directory = ""] = process.argv.slice(2);
const common = { target: "bun", format: "esm" } as const;
const hotEntry = join(directory, "hot-entry.js");

interface Chunk {
  readonly name: string;
  readonly exports: readonly string[];
}

const entrypoints = [join(import.meta.dirname, "../src/cli/main.ts")];
const built = await Bun.build({ ...common, entrypoints, outdir: directory, splitting: true, metafile: true });
const outputs = Object.entries(built.metafile?.outputs ?? {});
const [start = ""] = outputs.find(([, { entryPoint }]) => entryPoint?.endsWith(hot) === true) ?? [];
const always = closure("main.js");
const chunks = [...closure(basename(start)).values()].filter(({ name }) => !always.has(name));

writeFileSync(hotEntry, chunks.map((chunk, index) => reexport(chunk, (name) => [name, `c${index}_${name}`])).join(""));
await Bun.build({
  ...common,
  entrypoints: [hotEntry],
  outdir: directory,
  naming: "hot.js",
  plugins: [{ name: "other chunks stay what they are", setup: leaveOthers }],
});
for (const [index, chunk] of chunks.entries()) {
  const text = reexport({ ...chunk, name: "hot.js" }, (name) => [`c${index}_${name}`, name]);
  writeFileSync(join(directory, chunk.name), text);
}

/** A chunk and all that are loaded with it. */
function closure(name: string, found = new Map<string, Chunk>()): Map<string, Chunk> {
  if (found.has(name)) return found;
  const code = readFileSync(join(directory, name), "utf8");
  const { imports, exports } = new Bun.Transpiler({ loader: "js" }).scan(code);
  found.set(name, { name, exports });
  for (const { kind, path } of imports) {
    if (kind === "import-statement" && path.startsWith("./")) closure(basename(path), found);
  }
  return found;
}

function leaveOthers(build: Bun.PluginBuilder): void {
  const ours = new Set([basename(hotEntry), ...chunks.map(({ name }) => name)]);
  build.onResolve({ filter: /^\.\// }, ({ path }) => (ours.has(basename(path)) ? undefined : { path, external: true }));
}

function reexport({ name, exports }: Chunk, rename: (name: string) => readonly [string, string]): string {
  const names = exports.map((each) => rename(each).join(" as "));
  return `export { ${names.join(", ")} } from "./${name}";\n`;
}
