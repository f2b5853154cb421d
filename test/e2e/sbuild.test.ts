// deadline: 1800
// Debian's own sbuild, as an ordinary user, with the service and our program in schroot's place.
import { createHash } from "node:crypto";
import { globSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "bun:test";
import { buildersDirectory, withBuilder } from "../support/builders.ts";
import { fallthru } from "../support/fallthru.ts";
import { debianRoot } from "../support/roots.ts";

const packages = ["hello", "dash", "zlib"];
const sources = buildersDirectory("sources");
let root = "";

/** The source packages, fetched in a throw-away copy of the root. */
beforeAll(async () => {
  root = await debianRoot({ variant: "buildd" });
  await fallthru(["chroot", "add", "fetch", root]);
  const fetch = `
    sed -i 's/^Types: deb$/Types: deb-src/; s/^deb /deb-src /' $(find /etc/apt/sources.list /etc/apt/sources.list.d -type f)
    apt-get -qq update; cd /sources; apt-get -qq source --download-only ${packages.join(" ")}`;
  const words = ["run", "fetch", "--bind", `${sources}:/sources`, "--", "sh", "-ec", fetch];
  const { status, stderr } = await fallthru(words);
  if (status !== 0) throw new Error(stderr);
});

const script = `
  chroot=$ROOT
  if [ $UNION = none ]; then chroot=$(copy_of $ROOT); fi
  describe builds $chroot $UNION
  builder sbuild --chroot=builds --dist=test --no-run-lintian --build-path=/build/package --no-apt-upgrade \\
    --no-apt-distupgrade "$DSC" >sbuild.log 2>&1 </dev/null
  fallthru list --json`;

/** Builds it. @returns what the packages are, by their names */
async function build(name: string, union: string): Promise<Record<string, string>> {
  const out = buildersDirectory(union);
  const [source = ""] = globSync(join(sources, `${name}_*.dsc`));
  const { status, stdout, stderr } = await withBuilder(out, script, { ROOT: root, UNION: union, DSC: source });
  const [log = ""] = globSync(join(out, "*Z.build")).map((file) => readFileSync(file, "utf8"));
  expect([status, stderr, status === 0 ? "" : log.slice(-4000)]).toEqual([0, "", ""]);
  expect(JSON.parse(stdout)).toEqual({ sessions: [] });
  // A real schroot's would be elsewhere.
  expect(log).toContain("run/fallthru/mount/");
  const hash = (file: string) =>
    createHash("sha256")
      .update(readFileSync(join(out, file)))
      .digest("hex");
  const made = readdirSync(out).filter((file) => file.endsWith(".deb"));
  return Object.fromEntries(made.toSorted().map((file) => [file, hash(file)]));
}

test.each(packages)("an ordinary user builds %s, the same one on each union as in a plain directory", async (name) => {
  const plain = await build(name, "none");
  expect(Object.keys(plain).length).toBeGreaterThan(0);
  expect(await build(name, "overlay")).toEqual(plain);
  expect(await build(name, "fallthru")).toEqual(plain);
});
