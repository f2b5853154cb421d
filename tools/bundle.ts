// `tools/bundle.ts DIR`: bundles src/cli/main.ts into DIR/main.js and chunks, of which each verb loads what it needs.
// --splitting makes a chunk for every set of verbs that share something; all of them that finding a verb waits for
// (`run` is part of it) are put into one, hot.js, what a login's client and a run in schroot's place need besides those into two others, and what
// beginning and ending sessions need into a few more, by which of them load it: a start pays for each, and for what it loads.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

/** Each is what all of its entries load, without what one before it has. */
interface Group {
  readonly name: string;
  readonly entries: readonly string[];
}

const verb = (name: string): string => `src/cli/commands/${name}.ts`;
const [dispatch, client, schroot] = ["src/cli/dispatch.ts", "src/daemon/client.ts", "src/cli/schroot-here.ts"];
const [begin, end, once, list] = [verb("begin"), verb("end"), verb("run-once"), verb("list")];
// Loaded while the command of `once` runs.
const ending = "src/session/end.ts";
const hot: readonly Group[] = [
  { name: "hot.js", entries: [dispatch] },
  { name: "hot-sessions.js", entries: [begin, end, once] },
  { name: "hot-list.js", entries: [list, begin, once] },
  { name: "hot-processes.js", entries: [list, ending] },
  { name: "hot-terminal.js", entries: [client, once] },
  { name: "hot-passing.js", entries: [client, ending] },
  { name: "hot-client.js", entries: [client] },
  { name: "hot-schroot.js", entries: [schroot] },
  { name: "hot-begin.js", entries: [begin, once] },
  { name: "hot-end.js", entries: [end, ending] },
];

const [directory = ""] = process.argv.slice(2);
const common = { target: "bun", format: "esm" } as const;
interface Chunk {
  readonly name: string;
  readonly exports: readonly string[];
}

const entrypoints = [join(import.meta.dirname, "../src/cli/main.ts")];
const built = await Bun.build({ ...common, entrypoints, outdir: directory, splitting: true, metafile: true });
const outputs = Object.entries(built.metafile?.outputs ?? {});
const taken = new Set(["main.js"]);
// All closures first: afterwards the chunks are no longer what they were.
const joined = hot.map(({ name, entries }) => {
  const [first, ...others] = entries.map((entry) => closure(chunkOf(entry)));
  const shared = [...(first?.values() ?? [])].filter((chunk) => others.every((other) => other.has(chunk.name)));
  const chunks = shared.filter((chunk) => !taken.has(chunk.name));
  for (const chunk of chunks) taken.add(chunk.name);
  return { name, chunks };
});
for (const { name, chunks } of joined) await joinChunks(name, chunks);
for (const name of readdirSync(directory)) redirectImports(name);
const main = join(directory, "main.js");
writeFileSync(main, await withClient(readFileSync(main, "utf8")));

/**
 * The service's client is what is started most often of all: main.js has it, with copies of all that it needs, as a function. What isn't
 * called costs others nothing, for its bytecode isn't looked at before.
 */
async function withClient(code: string): Promise<string> {
  const leaveImports = (build: Bun.PluginBuilder): void => {
    build.onResolve({ filter: /^\./ }, ({ path, kind }) =>
      kind === "dynamic-import" ? { path: `./${chunkOf(join("src/daemon", path))}`, external: true } : undefined,
    );
  };
  const plugins = [{ name: "import() is of chunks", setup: leaveImports }];
  const entrypoints = [join(import.meta.dirname, "..", client)];
  const { outputs: alone } = await Bun.build({ ...common, entrypoints, plugins });
  const [body = "", list = ""] = ((await alone[0]?.text()) ?? "").split(/^export \{([^}]*)\};\n$/m);
  const names = list
    .split(",")
    .map((each) => each.trim().split(" as ").toReversed().join(": "))
    .filter((each) => each !== "");
  const lazily = code.replace(`import("./${chunkOf(client)}")`, "Promise.resolve(client())");
  if (lazily === code) throw new Error(`${client} isn't loaded by main.ts`);
  return `${lazily}function client() {\n${body}return { ${names.join(", ")} };\n}\n`;
}

/** The chunk that a source file begins. */
function chunkOf(entry: string): string {
  const [path] = outputs.find(([, { entryPoint }]) => entryPoint?.endsWith(entry) === true) ?? [];
  if (path === undefined) throw new Error(`${entry} isn't loaded by itself, by an import()`);
  return basename(path);
}

/** Puts chunks into one. What is left of each says that it is there, for import(). */
async function joinChunks(name: string, chunks: readonly Chunk[]): Promise<void> {
  const entry = join(directory, `entry-${name}`);
  writeFileSync(
    entry,
    chunks.map((chunk, index) => reexport(chunk, (each) => [each, joinedName(index, each)])).join(""),
  );
  const ours = new Set([basename(entry), ...chunks.map((chunk) => chunk.name)]);
  const leaveOthers = (build: Bun.PluginBuilder): void => {
    build.onResolve({ filter: /^\.\// }, ({ path }) =>
      ours.has(basename(path)) ? undefined : { path, external: true },
    );
  };
  const plugins = [{ name: "other chunks stay what they are", setup: leaveOthers }];
  await Bun.build({ ...common, entrypoints: [entry], outdir: directory, naming: name, plugins });
  for (const [index, chunk] of chunks.entries()) {
    const text = reexport({ ...chunk, name }, (each) => [joinedName(index, each), each]);
    writeFileSync(join(directory, chunk.name), text);
  }
  rmSync(entry);
}

/** An export's name in the chunk that many were put into. */
function joinedName(index: number, name: string): string {
  return `c${index}_${name}`;
}

/** Has a chunk import from where things are now: each module between costs a start 0.05 ms and more. */
function redirectImports(file: string): void {
  const path = join(directory, file);
  const redirect = (whole: string, names: string | undefined, from: string): string => {
    for (const { name, chunks } of joined) {
      const index = chunks.findIndex((chunk) => chunk.name === from);
      if (index < 0) continue;
      if (names === undefined) return `import "./${name}";`;
      const renamed = names.split(",").map((each) => {
        const [there = "", here = there] = each.trim().split(" as ");
        return `${joinedName(index, there)} as ${here}`;
      });
      return `import { ${renamed.join(", ")} } from "./${name}";`;
    }
    return whole;
  };
  const code = readFileSync(path, "utf8");
  writeFileSync(path, code.replaceAll(/^import\s*(?:\{([^}]*)\}\s*from\s*)?"\.\/([^"]+)";/gm, redirect));
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
