// The union keys of schroot.conf(5), as sessions have them.
import { afterEach, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { leftoversAfter, type Traces, traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";

const variable = (name: string) => `\${CHROOT_UNION_${name}_DIRECTORY}`;
const layers = "/var/lib/fallthru/sessions/s/layers/0/upper";
let root: string;
let before: Traces;

beforeAll(async () => {
  root = tinyRoot();
  writeFileSync(join(root, "etc/hostname"), "mark\n");
  await fallthru(["recover"]);
  before = traces();
});

afterEach(async () => {
  await fallthru(["end", "--all"]);
  // A server of ours goes a moment after its mount.
  expect(await leftoversAfter(before)).toEqual([]);
});

async function begin(...keys: readonly string[]): Promise<void> {
  describeChroot("u", root, ["profile=minimal", ...keys]);
  expect(await fallthru(["begin", "u", "--name", "s"])).toMatchObject({ status: 0, stderr: "" });
}

const sh = (script: string) => fallthru(["run", "@s", "--", "sh", "-c", script]);

for (const [type, mounted] of [
  ["none", "overlay"],
  ["overlay", "overlay"],
  ["overlayfs", "overlay"],
  ["auto", "overlay"],
  ["fallthru", "fuse.fallthru"],
  ["aufs", "fuse.fallthru"],
  ["unionfs", "fuse.fallthru"],
] as const) {
  test(`union-type=${type} is ${mounted}`, async () => {
    await begin(`union-type=${type}`);
    const { stdout } = await sh("cat /etc/hostname; rm /etc/hostname; grep ' / ' /proc/mounts");
    expect(stdout).toMatch(new RegExp(`^mark\n\\S+ / ${mounted.replace(".", "\\.")} `));
    // How the layer says that it is gone: aufs has names for that, the others a device or an attribute.
    const names = readdirSync(join(layers, "etc")).filter((name) => name.includes("hostname"));
    expect(names).toEqual([["aufs", "unionfs"].includes(type) ? ".wh.hostname" : "hostname"]);
    expect(existsSync(join(root, "etc/hostname"))).toBe(true);
  });
}

test("union-overlay-directory is where changes are kept, and is made", async () => {
  const place = join(temporaryDirectory("over"), "deep/inside");
  await begin("union-type=overlay", `union-overlay-directory=${place}`, "union-underlay-directory=/nowhere/at/all");
  await sh("echo > /new");
  const [own = ""] = readdirSync(place);
  expect(readdirSync(join(place, own, "0/upper"))).toContain("new");
  await fallthru(["end", "s"]);
  expect(readdirSync(place)).toEqual([]);
});

for (const type of ["overlay", "fallthru"]) {
  test(`union-mount-options with layers works for ${type}`, async () => {
    const over = temporaryDirectory("over");
    mkdirSync(join(over, "etc"));
    writeFileSync(join(over, "etc/extra"), "extra\n");
    const own = variable("OVERLAY");
    const options = `lowerdir=${over}:${variable("UNDERLAY")},upperdir=${own}/upper,workdir=${own}/work,metacopy=off,noatime`;
    await begin(`union-type=${type}`, `union-mount-options=${options}`);
    const { stdout } = await sh("cat /etc/extra /etc/hostname; echo > /etc/new; grep ' / ' /proc/mounts");
    expect(stdout).toMatch(/^extra\nmark\n\S+ \/ \S+ rw,noatime/);
    expect(existsSync(join(layers, "etc/new"))).toBe(true);
    expect(existsSync(join(over, "etc/new"))).toBe(false);
  });
}

for (const [type, options] of [
  ["aufs", `br:${variable("OVERLAY")}:LOWER=ro:${variable("UNDERLAY")}=ro`],
  ["unionfs", `dirs=${variable("OVERLAY")}=rw,LOWER=ro,${variable("UNDERLAY")}=ro`],
] as const) {
  test(`union-mount-options as ${type} has them name the branches`, async () => {
    const over = temporaryDirectory("over");
    writeFileSync(join(over, "extra"), "extra\n");
    await begin(`union-type=${type}`, `union-mount-options=${options.replace("LOWER", over)}`);
    expect(await sh("cat /extra /etc/hostname")).toMatchObject({ status: 0, stdout: "extra\nmark\n" });
  });
}

test("a union-mount-options that nobody understands is said, by its word", async () => {
  for (const type of ["overlay", "fallthru"]) {
    describeChroot("u", root, ["profile=minimal", `union-type=${type}`, "union-mount-options=nonsense=1"]);
    const { status, stderr } = await fallthru(["begin", "u"]);
    expect(status).not.toBe(0);
    expect(stderr).toContain("nonsense");
  }
});

test("begin warns of what schroot would take otherwise", async () => {
  describeChroot("u", root, ["profile=minimal", "users = root", "colour=red"]);
  const { status, stderr } = await fallthru(["begin", "u", "--name", "s"]);
  expect(status).toBe(0);
  expect(stderr).toMatch(
    /^fallthru: warning: \/etc\/schroot\/chroot.d\/u.conf:5: .*\nfallthru: warning: .*:6: .*colour.*\n$/,
  );
  const doctor = await fallthru(["doctor"]);
  expect(doctor.stdout).toContain('u.conf:6: [u] unknown key "colour"');
});
