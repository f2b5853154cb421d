// deadline: 200
// Every chroot type, with the real schroot and with ours: what they say of it, and what becomes of what is changed.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { copyFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tinyRoot } from "../support/roots.ts";
import { archiveOf, btrfsSubvolume, ext4Image } from "../support/rootstores.ts";
import { makeTwins, runTwin, type Said, type Twin } from "../support/schroot.ts";

const twins: readonly Twin[] = ["schroot", "fallthru"];
let base: string;
let btrfs: Record<Twin, ReturnType<typeof btrfsSubvolume>>;

/** Everything that is only described here; BASE/root is each twin's own. */
const described = `
[lvm]
type=lvm-snapshot
device=/dev/vg/root
lvm-snapshot-options=-L 2g
mount-options=-o atime,sync
location=/inner
[zfs]
type=zfs-snapshot
zfs-dataset=tank/root
zfs-snapshot-options=-o x=y
source-users=root
[custom]
type=custom
custom-source-cloneable=true
my.key=value
[block]
type=block-device
device=/dev/vg/none
mount-options=-o ro
[inner]
type=file
file=/srv/x.tar
location=/inside
source-root-groups=root
[loop-inner]
type=loopback
file=/srv/x.img
location=/in
union-type=aufs
union-mount-options=br:a:b
`;

const used = `
[file]
type=file
file=BASE/root/root.tar.gz
profile=minimal
[loop]
type=loopback
file=BASE/root/direct.ext4
profile=minimal
[loopov]
type=loopback
file=BASE/root/union.ext4
union-type=overlay
profile=minimal
[btrfs]
type=btrfs-snapshot
btrfs-source-subvolume=BASE/root/btrfs/root
btrfs-snapshot-directory=BASE/root/btrfs/snapshots
profile=minimal
`;

const all = "lvm zfs custom block inner loop-inner file loop loopov btrfs".split(" ");

beforeAll(() => {
  base = makeTwins();
  const tree = tinyRoot();
  writeFileSync(join(tree, "etc/hostname"), "mark\n");
  const [archive, image] = [archiveOf(tree, "root.tar.gz"), ext4Image(tree)];
  const stores = twins.map((twin) => {
    const own = join(base, twin);
    copyFileSync(archive, join(own, "root.tar.gz"));
    for (const name of ["direct", "union"]) execFileSync("cp", ["--sparse=always", image, join(own, `${name}.ext4`)]);
    const store = btrfsSubvolume(tree);
    execFileSync("ln", ["-s", store.mountPoint, join(own, "btrfs")]);
    return [twin, store];
  });
  btrfs = Object.fromEntries(stores) as typeof btrfs;
  const conf = `${described}${used}`.replaceAll("BASE", base);
  writeFileSync(join(base, "schroot.conf"), conf);
});

afterAll(() => {
  for (const { mountPoint } of Object.values(btrfs)) execFileSync("umount", [mountPoint]);
});

async function both(lines: readonly string[]): Promise<readonly [Said[], Said[]]> {
  return [await runTwin(base, "schroot", lines), await runTwin(base, "fallthru", lines)];
}

test("what is said of each type is what schroot says", async () => {
  const kinds = ["", "source:"];
  const lines = all.flatMap((name) =>
    kinds.flatMap((kind) => ["-i", "--config", "--location"].map((action) => `schroot ${action} -c ${kind}${name}`)),
  );
  const [theirs, ours] = await both([...lines, "schroot -l -a", "schroot -l --all-source-chroots", "schroot --config"]);
  expect(ours).toEqual(theirs);
  expect(theirs[0]?.stdout).toContain("LVM Snapshot Options");
});

/** The same, the second time in a session of its own: begun, run in, ended. */
const lifecycle = (name: string): string[] => [
  `schroot -c ${name} -d / -- cat /etc/hostname`,
  `schroot -b -c ${name} -n s-${name}`,
  `schroot -r -c s-${name} -d / -- sh -c 'echo changed > /new; cat /new'`,
  `schroot -i -c session:s-${name}`,
  `cat /var/lib/schroot/session/s-${name}`,
  `schroot -e -c s-${name}`,
  `schroot -c ${name} -d / -- cat /new || echo not kept`,
];

/** Ours has a name of its own, so that it can't be anybody else's. */
function sameSnapshot(text: string): string {
  return text.replace(/(snapshots\/)fallthru-(s-\w+)-[0-9a-f]+$/gm, "$1$2");
}

for (const name of ["file", "loop", "loopov", "btrfs"]) {
  test(`a session of ${name} is what it is with schroot`, async () => {
    const source = [
      `schroot -c source:${name} -d / -- sh -c 'echo golden > /golden' || echo no source`,
      `schroot -c ${name} -d / -- cat /golden || echo not kept`,
    ];
    const [theirs, ours] = await both([...lifecycle(name), ...source]);
    const said = (twin: readonly Said[]) =>
      twin.map(({ status, stdout }) => ({ status, stdout: sameSnapshot(stdout) }));
    expect(said(ours)).toEqual(said(theirs));
    expect(ours[0]).toEqual({ status: 0, stdout: "mark\n", stderr: "" });
    expect(ours[6]?.stdout).toBe(name === "loop" ? "changed\n" : "not kept\n");
    expect(ours[8]?.stdout).toBe(name === "loop" ? "not kept\n" : "golden\n");
    expect(readdirSync(btrfs.fallthru.snapshots)).toEqual([]);
  });
}
