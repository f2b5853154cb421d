// `tools/bundle.ts DIR`: bundles src/cli/main.ts into DIR/main.js and chunks, of which each verb loads what it needs.
// --splitting makes a chunk for every set of verbs that share something; the dozen of them that only `run` waits for
// are put into one, hot.js, and what a run in schroot's place needs besides those into another.
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const hot = [
  { entry: "src/cli/commands/run.ts", name: "hot.js" },
  { entry: "src/cli/schroot-here.ts", name: "hot-schroot.js" },
];

/** All that it needs in itself: where this runs, nothing else does. */
const alone = "src/daemon/client.ts";

const [directory = ""] = process.argv.slice(2);
const common = { target: "bun", format: "esm" } as const;
interface Chunk {
  readonly name: string;
  readonly exports: readonly string[];
}

const entrypoints = [join(import.meta.dirname, "../src/cli/main.ts")];
const built = await Bun.build({ ...common, entrypoints, outdir: directory, splitting: true, metafile: true });
const outputs = Object.entries(built.metafile?.outputs ?? {});
const taken = new Set(closure("main.js").keys());
// All closures first: afterwards the chunks are no longer what they were.
const joined = hot.map(({ entry, name }) => {
  const [start = ""] = outputs.find(([, { entryPoint }]) => entryPoint?.endsWith(entry) === true) ?? [];
  const chunks = [...closure(basename(start)).values()].filter((chunk) => !taken.has(chunk.name));
  for (const chunk of chunks) taken.add(chunk.name);
  return { name, chunks };
});
const [alonePath = ""] = outputs.find(([, { entryPoint }]) => entryPoint?.endsWith(alone) === true) ?? [];
await Bun.build({
  ...common,
  entrypoints: [join(import.meta.dirname, "..", alone)],
  outdir: directory,
  naming: basename(alonePath),
});
for (const { name, chunks } of joined) await joinChunks(name, chunks);

/** Puts chunks into one, and has each of them say that it is there. */
async function joinChunks(name: string, chunks: readonly Chunk[]): Promise<void> {
  const entry = join(directory, `entry-${name}`);
  writeFileSync(entry, chunks.map((chunk, index) => reexport(chunk, (each) => [each, `c${index}_${each}`])).join(""));
  const ours = new Set([basename(entry), ...chunks.map((chunk) => chunk.name)]);
  const leaveOthers = (build: Bun.PluginBuilder): void => {
    build.onResolve({ filter: /^\.\// }, ({ path }) =>
      ours.has(basename(path)) ? undefined : { path, external: true },
    );
  };
  const plugins = [{ name: "other chunks stay what they are", setup: leaveOthers }];
  await Bun.build({ ...common, entrypoints: [entry], outdir: directory, naming: name, plugins });
  for (const [index, chunk] of chunks.entries()) {
    const text = reexport({ ...chunk, name }, (each) => [`c${index}_${each}`, each]);
    writeFileSync(join(directory, chunk.name), text);
  }
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

function reexport({ name, exports }: Chunk, rename: (name: string) => readonly [string, string]): string {
  const names = exports.map((each) => rename(each).join(" as "));
  return `export { ${names.join(", ")} } from "./${name}";\n`;
}
