// What `fallthru mount` makes of its layers: who else may use them, what a loss of power leaves of them, and lowers of which only
// content is wanted.
import { expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { processesIn } from "../support/cgroup.ts";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";

interface Layers {
  readonly directory: string;
  readonly target: string;
  readonly options: string;
}

function layersIn(directory: string): Layers {
  for (const name of ["lower/dir", "upper", "work", "target"]) mkdirSync(join(directory, name), { recursive: true });
  for (const name of ["a", "b", "dir/c"]) writeFileSync(join(directory, "lower", name), `${name}\n`.repeat(10_000));
  const options = `lowerdir=${directory}/lower,upperdir=${directory}/upper,workdir=${directory}/work`;
  return { directory, target: join(directory, "target"), options };
}

async function sh(script: string): Promise<string> {
  const { status, stdout, stderr } = await run(["sh", "-euc", script], { timeoutMs: 60_000 });
  if (status !== 0) throw new Error(`${script}: ${String(status)}: ${stderr}`);
  return stdout;
}

async function mountAt(options: string, target: string): Promise<void> {
  expect(await fallthru(["mount", "-o", options, target])).toMatchObject({ status: 0, stderr: "" });
}

/**
 * What a loss of power leaves of a union whose upper lies on a disk, to which nothing is written but what is asked for.
 * @param change done in the union; `$disk` is where its layers lie
 * @param look at the upper, afterwards
 */
async function afterCut(change: string, look: string): Promise<string> {
  const images = temporaryDirectory("images");
  const [disk, cut] = [join(images, "disk"), join(images, "cut")];
  writeFileSync(disk, "");
  truncateSync(disk, 16 << 20);
  await sh(`mkfs.ext4 -q '${disk}'`);
  const [at, after] = [temporaryDirectory("disk"), temporaryDirectory("after")];
  // Its journal is committed when somebody asks for it, and content waits for longer.
  await sh(`mount -o loop,commit=600 '${disk}' '${at}'`);
  const { target, options } = layersIn(at);
  await sh("sync");
  await mountAt(options, target);
  await sh(`disk='${at}'; cd '${target}'; ${change}`);
  copyFileSync(disk, cut);
  await sh(`umount '${target}'; umount '${at}'; mount -o loop '${cut}' '${after}'`);
  try {
    return await sh(`cd '${after}/upper'; ${look}`);
  } finally {
    await sh(`umount '${after}'`);
  }
}

test("what is copied up is on the disk before it takes the lower file's place", async () => {
  const left = await afterCut(
    "chmod 600 b; echo more >>a; echo more >>b; echo more >>dir/c; seq 10000 >new; : >$disk/other; sync $disk/other",
    "for name in a b dir/c; do head -n 10000 $name | sort | uniq -c; done; wc -c <new",
  );
  // The last says that it was a loss.
  expect(left).toBe("  10000 a\n  10000 b\n  10000 dir/c\n0\n");
});

test("files and directories that were synced through the union are on the disk", async () => {
  const make = "mkdir made; seq 10000 >made/new; echo more >>a; mv dir moved; rm b";
  const look = "wc -l <made/new || true; tail -n 1 a; ls -d made moved";
  const missing = "0\n";
  const synced = "10000\nmore\nmade\nmoved\n";
  expect(await afterCut(`${make}; sync made/new a made .`, look)).toBe(synced);
  expect(await afterCut(`${make}; sync a`, "wc -l <made/new")).toBe(missing);
});

test("a volatile union says so in its work directory, and isn't mounted after a restart of the machine", async () => {
  const { directory, target, options } = layersIn(temporaryDirectory("union"));
  const mark = join(directory, "work/work/incompat/volatile");
  for (const each of [`${options},volatile`, `${options},volatile`]) {
    await mountAt(each, target);
    await sh(`cd '${target}'; echo x >>a; sync a; sync -f .; cd /; umount '${target}'`);
    expect(readdirSync(mark)).toEqual([readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()]);
  }
  // Still in the same run of the machine: it is synced once, and good for all.
  await mountAt(options, target);
  await sh(`umount '${target}'`);
  expect(existsSync(mark)).toBe(false);
  mkdirSync(join(mark, "another"), { recursive: true });
  const refused = await fallthru(["mount", "-o", options, target]);
  expect(refused.stderr).toStartWith(`fallthru: ${directory}/upper was written to by a volatile mount, and may be`);
  expect((await run(["mountpoint", "-q", target])).status).not.toBe(0);
});

test("the kernel's overlayfs refuses a volatile upper, and ours overlayfs's", async () => {
  const { target, options } = layersIn(temporaryDirectory("union"));
  await mountAt(`${options},volatile`, target);
  await sh(`umount '${target}'`);
  expect((await run(["mount", "-t", "overlay", "-o", options, "overlay", target])).status).not.toBe(0);
  const theirs = layersIn(temporaryDirectory("union"));
  await sh(`mount -t overlay -o '${theirs.options},volatile' overlay '${theirs.target}'; umount '${theirs.target}'`);
  expect((await fallthru(["mount", "-o", theirs.options, theirs.target])).stderr).toContain("volatile");
});

test("an upper or work directory belongs to one mount at a time, whatever becomes of its server", async () => {
  const { directory, target, options } = layersIn(temporaryDirectory("union"));
  const other = join(directory, "other");
  for (const name of ["other", "upper2", "work2"]) mkdirSync(join(directory, name));
  const refusal = async (text: string): Promise<string> => {
    const { status, stderr } = await fallthru(["mount", "-o", text, other]);
    expect(status).not.toBe(0);
    return stderr.split("\n")[0] ?? "";
  };
  await mountAt(options, target);
  const busy = (name: string, role: string): string =>
    `fallthru: ${directory}/${name} is the ${role} of another union that is mounted`;
  expect(await refusal(options.replace(/work$/, "work2"))).toBe(busy("upper", "upper"));
  expect(await refusal(options.replace("/upper,", "/upper2,"))).toBe(busy("work", "work directory"));
  for (const id of processesIn()) {
    if (readFileSync(`/proc/${id}/cmdline`, "utf8") === `${executable}\0serve\0`) process.kill(id, "SIGKILL");
  }
  expect(await refusal(options)).toBe(busy("upper", "upper"));
  await sh(`cat '${target}/a' >/dev/null; umount '${target}'`);
  await mountAt(options, other);
  await sh(`cat '${other}/a' >/dev/null; umount '${other}'`);
});

test("five hundred lowers show what each of them has, and the topmost wins", async () => {
  const directory = temporaryDirectory("many");
  for (const name of ["upper", "work", "target"]) mkdirSync(join(directory, name));
  await sh(
    `cd '${directory}'; for i in $(seq 500); do mkdir -p l$i/dir; echo $i >l$i/dir/f$i; echo $i >l$i/same; done`,
  );
  const lowers = Array.from({ length: 500 }, (_, at) => `${directory}/l${at + 1}`).join(":");
  const target = join(directory, "target");
  await mountAt(`lowerdir=${lowers},upperdir=${directory}/upper,workdir=${directory}/work`, target);
  const script =
    "cat same; cat dir/* | sort -n | uniq | wc -l; echo up >dir/f500; rm dir/f499; ls dir | wc -l; cat dir/f500";
  expect(await sh(`cd '${target}'; ${script}`)).toBe("1\n500\n499\nup\n");
  await sh(`umount '${target}'`);
});

test("behind two colons stand lowers of which only content shows, as with the kernel's overlayfs", async () => {
  const { directory, target } = layersIn(temporaryDirectory("union"));
  await sh(`
    cd '${directory}'; mkdir -p top/sub data1/objects data2/objects
    echo one >data1/objects/1; echo two >data2/objects/2; echo hidden >data1/hidden; echo hidden >data2/objects/1
    make() { truncate -s 4 "$1"; setfattr -n trusted.overlay.metacopy "$1"; setfattr -n trusted.overlay.redirect -v "$2" "$1"; }
    make top/first /objects/1; make top/sub/second /objects/2; make top/missing /objects/3; ln -s first top/link`);
  const lowers = `lowerdir=${directory}/top:${directory}/lower::${directory}/data1::${directory}/data2`;
  const options = `${lowers},upperdir=${directory}/upper,workdir=${directory}/work`;
  const look = `cd '${target}'; find . | sort; cat first sub/second link; cat missing 2>&1 || true; stat -c '%s %a' first`;
  const change = `cd '${target}'; chmod 600 first; mv first sub/moved; echo more >>sub/second`;
  const lookAgain = `cd '${target}'; cat sub/moved sub/second; stat -c '%s %a' sub/moved; cd /; umount '${target}'`;
  await mountAt(options, target);
  const seen = await sh(look);
  expect(seen).toContain("one\ntwo\none\n");
  expect(seen).not.toContain("hidden");
  expect(JSON.parse((await fallthru(["layer", "list", "--json", target])).stdout)).toMatchObject({
    layers: [{ role: "upper" }, { role: "lower" }, { role: "lower" }, { role: "data" }, { role: "data" }],
  });
  await sh(change);
  await sh(`umount '${target}'`);
  await mountAt(options, target);
  expect(await sh(lookAgain)).toBe("one\ntwo\nmore\n4 600\n");
  await sh(`cd '${directory}'; rm -rf upper work; mkdir upper work`);
  await sh(`mount -t overlay -o '${options},metacopy=on,redirect_dir=on' overlay '${target}'`);
  expect((await sh(look)).replace(/^cat: missing.*\n/m, "")).toBe(seen.replace(/^cat: missing.*\n/m, ""));
  await sh(change);
  expect(await sh(lookAgain)).toBe("one\ntwo\nmore\n4 600\n");
  const wrong = await fallthru([
    "mount",
    "-o",
    `lowerdir=${directory}/top::${directory}/data1:${directory}/lower`,
    target,
  ]);
  expect(wrong.stderr).toContain("has an empty name");
});
