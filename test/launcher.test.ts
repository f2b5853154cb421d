// ./fallthru on a fresh copy of the tree, with a program of two lines and an npm that only says that it was called.
import { expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { temporaryDirectory } from "./support/directories.ts";
import { run, type RunResult } from "./support/fallthru.ts";

const top = resolve(import.meta.dirname, "..");

test("the first run installs and builds, says so on stderr, and runs with its arguments as they are", async () => {
  const tree = makeTree();
  const first = await launch(tree, ["a b", "", "--", "*"]);
  expect(first).toMatchObject({ status: 3, stdout: '1 ["a b","","--","*"]\n' });
  expect(first.stderr).toContain("installing and building");
  expect(await launch(tree, [])).toMatchObject({ status: 3, stdout: "1 []\n", stderr: "" });
  expect(npmCalls(tree)).toEqual(["ci --ignore-scripts --loglevel=error"]);
});

test("a changed source is built again, a changed test is not, and a broken one leaves what was there", async () => {
  const tree = makeTree();
  await launch(tree, []);
  writeFileSync(join(tree, "src/new.test.ts"), "");
  await rebuilt(tree); // a new name in src/ counts, as a deleted one does
  writeFileSync(join(tree, "src/new.test.ts"), "changed");
  expect((await launch(tree, [])).stderr).toBe("");
  writeFileSync(join(tree, "src/cli/main.ts"), program(2));
  expect((await rebuilt(tree)).stdout).toBe("2 []\n");
  writeFileSync(join(tree, "src/cli/main.ts"), "const = broken;");
  const broken = await launch(tree, []);
  expect(broken.status).toBe(125);
  expect(broken.stderr).toContain("main.ts:1");
  expect((await run([join(tree, "build/fallthru")])).stdout).toBe("2 []\n");
});

test("two first runs at once build once", async () => {
  const tree = makeTree();
  const both = await Promise.all([launch(tree, []), launch(tree, [])]);
  expect(both.map(({ status, stdout }) => [status, stdout])).toEqual([
    [3, "1 []\n"],
    [3, "1 []\n"],
  ]);
  expect(npmCalls(tree)).toHaveLength(1);
});

test("what is missing is said in one line", async () => {
  const tree = makeTree();
  rmSync(join(tree, "bin/npm"));
  expect(await launch(tree, [])).toMatchObject({
    status: 125,
    stderr: "fallthru: npm is missing, it is needed to build: apt-get install npm\n",
  });
  rmSync(join(tree, "bin/node"));
  expect((await launch(tree, [])).stderr).toStartWith("fallthru: Node is missing");
  const user = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  expect((await launch(tree, [], user)).stderr).toEndWith("only root can write there: run this once as root\n");
});

test("node_modules that are another tree's, by a link, are left alone", async () => {
  const tree = makeTree();
  await launch(tree, []);
  const other = makeTree();
  symlinkSync(join(tree, "node_modules"), join(other, "node_modules"));
  writeFileSync(join(other, "package-lock.json"), "newer");
  const refused = await launch(other, []);
  expect(refused).toMatchObject({ status: 125, stderr: expect.stringContaining(": rm node_modules,") as string });
  expect(existsSync(join(other, "npm-calls"))).toBe(false);
});

test("it is found through a link and from PATH", async () => {
  const tree = makeTree();
  const link = join(temporaryDirectory(), "ft");
  symlinkSync(join(tree, "fallthru"), link);
  expect(await run([link, "x"], { env: environment(tree) })).toMatchObject({ stdout: '1 ["x"]\n' });
  expect(await run(["/bin/sh", "fallthru", "x"], { directory: tree })).toMatchObject({
    stdout: '1 ["x"]\n',
    stderr: "",
  });
});

/** What tools/bundle.ts makes chunks of. */
const ownChunks = [
  ...["begin", "end", "list", "run", "run-once"].map((verb) => `./commands/${verb}.ts`),
  "./dispatch.ts",
  "./schroot-here.ts",
  "../daemon/client.ts",
  "../session/end.ts",
];

const program = (version: number): string =>
  `console.log(${version}, JSON.stringify(process.argv.slice(2)));
if ("run" in process.argv) await Promise.all([${ownChunks.map((path) => `import("${path}")`).join(", ")}]);
process.exitCode = 3;
`;

const tools = "cat cp dirname find flock ln mkdir mktemp mv node readlink rm sh sleep touch uname".split(" ");

/** The launcher, the build and a program; `bin/` is to be the whole PATH. */
function makeTree(): string {
  const parent = temporaryDirectory();
  chmodSync(parent, 0o755);
  const tree = join(parent, "tree");
  mkdirSync(join(tree, "src/cli"), { recursive: true });
  mkdirSync(join(tree, "bin"));
  mkdirSync(join(tree, "src/cli/commands"));
  for (const name of ["fallthru", "build.sh", "package.json", "package-lock.json", "tools"])
    cpSync(join(top, name), join(tree, name), { recursive: true });
  writeFileSync(join(tree, "src/cli/main.ts"), program(1));
  for (const name of ["daemon", "session"]) mkdirSync(join(tree, "src", name));
  for (const path of ownChunks) writeFileSync(join(tree, "src/cli", path), "export const run = 1;\n");
  for (const tool of tools)
    symlinkSync(execFileSync("which", [tool], { encoding: "utf8" }).trim(), join(tree, "bin", tool));
  writeFileSync(join(tree, "bin/npm"), npm);
  chmodSync(join(tree, "bin/npm"), 0o755);
  return tree;
}

/** Stands in for npm: takes Bun and koffi from where they are. */
const npm = `#!/bin/sh
echo "$*" >>npm-calls
sleep 0.2
mkdir -p node_modules/.bin
ln -s ${process.execPath} node_modules/.bin/bun
ln -s ${join(top, "node_modules/@koromix")} node_modules/@koromix
echo >node_modules/.package-lock.json
`;

function npmCalls(tree: string): string[] {
  return readFileSync(join(tree, "npm-calls"), "utf8").trimEnd().split("\n");
}

function environment(tree: string): Record<string, string> {
  return { PATH: join(tree, "bin") };
}

/** @param before a command that runs the launcher */
function launch(tree: string, args: readonly string[], before: readonly string[] = []): Promise<RunResult> {
  return run([...before, join(tree, "fallthru"), ...args], { env: environment(tree) });
}

async function rebuilt(tree: string): Promise<RunResult> {
  const result = await launch(tree, []);
  expect(result.stderr).toContain("building");
  return result;
}
