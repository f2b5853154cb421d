// deadline: 600
// The probes of whatever a union keeps in its layers, with all layers on file systems that are different: the
// kernel's overlayfs, which takes no devices 0:0 and has no file handles to open, another union of ours, and btrfs, whose
// open directories don't show what is made later until they are read from the start.
import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { limits } from "../../src/conformance/limits.ts";
import { allProbes, nameOf } from "../../src/conformance/probes/index.ts";
import { runProbes } from "../../src/conformance/runner.ts";
import { systemOf } from "../../src/conformance/systems.ts";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";

const areas = ["readdir", "identity", "hard links", "removal", "rename", "copy-up", "layers", "file handles"];
const probes = allProbes().filter(({ area, deadlineSeconds }) => areas.includes(area) && deadlineSeconds === undefined);

/** What overlayfs keeps us from: it takes no devices 0:0, which the first makes itself, and tells no generation of an inode. */
const keptFromByOverlayfs = [
  "layers: whiteouts, opaque directories and marked whiteouts in a lower layer hide what is below",
  "file handles: a handle of what was removed isn't that of a new file with its inode number",
];

const directory = temporaryDirectory("uppers");
chmodSync(directory, 0o755); // other users' probes are below
const below = (kind: string): string[] =>
  ["lower", "upper", "work", "mount"].map((name) => join(directory, kind, name));

const mounts: Readonly<Record<string, () => Promise<{ status: number | null; stderr: string }>>> = {
  overlayfs: () => {
    const [lower, upper, work, mount] = below("overlayfs");
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    return run(["mount", "-t", "overlay", "-o", options, "overlay", String(mount)]);
  },
  fallthru: () => {
    const [lower, upper, work, mount] = below("fallthru");
    return fallthru(["mount", "-o", `lowerdir=${lower},upperdir=${upper},workdir=${work}`, String(mount)]);
  },
  btrfs: () => {
    const script = 'truncate -s 512M "$1"; mkfs.btrfs -q "$1" 2>&1; mount -o loop "$1" "$2"; chmod 755 "$2"';
    return run(["sh", "-euc", script, "sh", join(directory, "image"), String(below("btrfs")[3])]);
  },
};

afterAll(async () => {
  for (const kind of Object.keys(mounts)) await run(["umount", String(below(kind)[3])]);
});

for (const [kind, mount] of Object.entries(mounts)) {
  test(`layers on ${kind}: the union is as it is on a disk`, async () => {
    for (const path of below(kind)) mkdirSync(path, { recursive: true });
    expect(await mount()).toMatchObject({ status: 0, stderr: "" });
    const excepted = new Set([...limits.keys(), ...(kind === "overlayfs" ? keptFromByOverlayfs : [])]);
    const asked = probes.filter((probe) => !excepted.has(nameOf(probe)));
    const wrong: string[] = [];
    for (const id of ["fallthru", "fallthru-user"]) {
      const outcomes = await runProbes(systemOf(id), asked, { directory: String(below(kind)[3]) });
      for (const [name, outcome] of outcomes)
        if (outcome.kind === "wrong") wrong.push(`${id}: ${name}: ${outcome.what}`);
    }
    expect(wrong).toEqual([]);
  });
}

test("what is deleted and renamed on an upper that lies on overlayfs, overlayfs shows too", async () => {
  const base = String(below("overlayfs")[3]);
  const script = `
    cd '${base}'; mkdir -p l/dir/deep l/moved l/other u w m k
    for file in gone kept dir/a dir/b dir/deep/c moved/d other/e other/f; do echo $file >l/$file; done
    : >l/empty
    "$1" mount -o lowerdir=l,upperdir=u,workdir=w m
    cd m; rm gone other/e; rm -r dir; mkdir dir; echo new >dir/new; mv moved there; echo more >>kept; mv other/f other/e; : >other/empty
    cd ..; find m | sort | sed s/^m/k/ >seen; cat m/other/e m/there/d m/kept >>seen
    find u -type c | wc -l
    umount m
    mount -t overlay -o lowerdir=u:l,redirect_dir=on,metacopy=on overlay k
    find k | sort >as-overlayfs; cat k/other/e k/there/d k/kept >>as-overlayfs
    umount k
    "$1" mount -o lowerdir=l,upperdir=u,workdir=w m
    find m | sort | sed s/^m/k/ >again; cat m/other/e m/there/d m/kept >>again
    umount m
    diff seen as-overlayfs; diff seen again`;
  const { status, stdout, stderr } = await run(["sh", "-euc", script, "sh", executable], { timeoutMs: 60_000 });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout.split("\n")[0]).toBe("0");
});
