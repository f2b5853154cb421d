// deadline: 900
// Debian's own sbuild, as an ordinary user, with the service and our program in schroot's place.
import { createHash } from "node:crypto";
import { chmodSync, globSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { beforeAll, expect, test } from "bun:test";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";
import { debianRoot } from "../support/roots.ts";

const script = resolve(import.meta.dirname, "../fixtures/sbuild.sh");
const sources = temporaryDirectory("sources");
let root = "";

/** The source package, fetched in a throw-away copy of the root. */
beforeAll(async () => {
  root = await debianRoot({ variant: "buildd" });
  for (const directory of [sources, join(sources, "..")]) chmodSync(directory, 0o755);
  await fallthru(["chroot", "add", "fetch", root]);
  const fetch = `
    sed -i 's/^Types: deb$/Types: deb-src/; s/^deb /deb-src /' $(find /etc/apt/sources.list /etc/apt/sources.list.d -type f)
    apt-get -qq update; cd /sources; apt-get -qq source --download-only hello`;
  const words = ["run", "fetch", "--bind", `${sources}:/sources`, "--", "sh", "-ec", fetch];
  const { status, stderr } = await fallthru(words);
  if (status !== 0) throw new Error(stderr);
}, 600_000);

/** Builds it. @returns what the packages are, by their names */
async function build(union: string): Promise<Record<string, string>> {
  const out = temporaryDirectory(union);
  const [source = ""] = globSync(join(sources, "*.dsc"));
  const words = ["unshare", "-m", "--propagation", "private", "sh", script, executable, root, union, source, out];
  const { status, stdout, stderr } = await run(words);
  const log = globSync(join(out, "*Z.build")).map((file) => readFileSync(file, "utf8").slice(-4000));
  expect([status, stderr, status === 0 ? "" : log]).toEqual([0, "", ""]);
  expect(JSON.parse(stdout)).toEqual({ sessions: [] });
  // A real schroot's would be elsewhere.
  expect(readFileSync(globSync(join(out, "*Z.build"))[0] ?? "", "utf8")).toContain("run/fallthru/mount/");
  const packages = readdirSync(out).filter((name) => name.endsWith(".deb"));
  const hash = (name: string) =>
    createHash("sha256")
      .update(readFileSync(join(out, name)))
      .digest("hex");
  return Object.fromEntries(packages.toSorted().map((name) => [name, hash(name)]));
}

test("an ordinary user builds a package, the same one on each union as in a plain directory", async () => {
  const plain = await build("none");
  expect(Object.keys(plain).filter((name) => name.startsWith("hello_"))).toHaveLength(1);
  expect(await build("overlay")).toEqual(plain);
  expect(await build("fallthru")).toEqual(plain);
}, 800_000);
