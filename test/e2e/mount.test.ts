// `fallthru mount` as a user has it: the built program, mount(8), umount(8).
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";
import { leftoversAfter, traces } from "../support/leftovers.ts";
import { unmountWhenFree } from "../support/unmount.ts";

/** Two lowers, an upper, and where to mount them. */
function layers(): { directory: string; options: string; target: string } {
  const directory = temporaryDirectory("union");
  for (const name of ["top/dir", "bottom/dir", "upper", "work", "target"]) {
    mkdirSync(join(directory, name), { recursive: true });
  }
  writeFileSync(join(directory, "top/dir/file"), "top\n");
  writeFileSync(join(directory, "bottom/dir/file"), "bottom\n");
  writeFileSync(join(directory, "bottom/dir/other"), "other\n");
  const lower = `lowerdir=${directory}/top:${directory}/bottom`;
  const options = `${lower},upperdir=${directory}/upper,workdir=${directory}/work`;
  return { directory, options, target: join(directory, "target") };
}

/** A shell in the target, which this process never touches. */
async function inside(target: string, script: string): Promise<string> {
  const { status, stdout, stderr } = await run(["sh", "-euc", `cd '${target}'; ${script}`], { timeoutMs: 60_000 });
  if (status !== 0) throw new Error(`${script}: ${String(status)}: ${stderr}`);
  return stdout;
}

async function unmount(target: string): Promise<void> {
  expect(await run(["umount", target])).toMatchObject({ status: 0, stderr: "" });
}

test("fallthru mount shows the layers as one, writes to the upper alone, and ends with umount", async () => {
  const before = traces();
  const { directory, options, target } = layers();
  expect(await fallthru(["mount", "-o", options, target])).toMatchObject({ status: 0, stdout: "", stderr: "" });
  expect(
    await inside(
      target,
      "cat dir/file dir/other; findmnt -no FSTYPE,SOURCE .; echo new >dir/new; rm dir/other; ls dir",
    ),
  ).toBe("top\nother\nfuse.fallthru fallthru\nfile\nnew\n");
  await unmount(target);
  expect(await leftoversAfter(before)).toEqual([]);
  expect(readdirSync(join(directory, "upper/dir")).toSorted()).toEqual(["new", "other"]);
  expect(readdirSync(join(directory, "bottom/dir"))).toEqual(["file", "other"]);
});

test("the kernel's overlayfs mounts what ours wrote", async () => {
  const { options, target } = layers();
  await fallthru(["mount", "-o", options, target]);
  await inside(target, "rm dir/other; chmod 600 dir/file; mv dir moved; mkdir dir; echo x >dir/new; ln dir/new link");
  const script = "ls -R; cat moved/file link; stat -c '%a %h' moved/file link";
  const seen = await inside(target, script);
  await unmount(target);
  await run(["mount", "-t", "overlay", "-o", `${options},redirect_dir=on,metacopy=on,index=on`, "overlay", target]);
  expect(await inside(target, script)).toBe(seen);
  await unmount(target);
});

test("without an upper, or with ro, nothing can be written", async () => {
  const { options, target } = layers();
  for (const each of [options.replace(/,.*/, ""), `${options},ro`]) {
    expect(await fallthru(["mount", "-o", each, target])).toMatchObject({ status: 0, stderr: "" });
    expect(await inside(target, "cat dir/file; touch dir/file 2>&1 || true; echo >new || true")).toBe(
      "top\ntouch: cannot touch 'dir/file': Read-only file system\n",
    );
    await unmount(target);
  }
});

test("mount -t fallthru works where mount.fallthru is in /sbin", async () => {
  const { directory, options, target } = layers();
  const [upper, work] = [temporaryDirectory("sbin"), temporaryDirectory("work")];
  await run([
    "mount",
    "-t",
    "overlay",
    "-o",
    `lowerdir=/usr/sbin,upperdir=${upper},workdir=${work}`,
    "sbin",
    "/usr/sbin",
  ]);
  const missing = (await fallthru(["doctor"])).stdout;
  const script = join(dirname(executable), "share/fallthru/mount.fallthru");
  expect(missing).toContain(`ln -s ${script} /sbin/mount.fallthru`);
  symlinkSync(script, "/usr/sbin/mount.fallthru");
  expect((await fallthru(["doctor"])).stdout).not.toContain("ln -s");
  const args = ["-t", "fallthru", "-o", `${options},noatime,nosuid`, "name", target];
  expect(await run(["mount", ...args])).toMatchObject({ status: 0, stderr: "" });
  expect(await inside(target, "findmnt -no SOURCE,OPTIONS .")).toMatch(/^name +rw,nosuid,noatime,/);
  // mount.fuse(8), where it is installed, calls the program itself; a helper for the type that mountinfo names comes first.
  const [remount, state] = [["fallthru", target, "-o", "rw,remount,ro"], "findmnt -no OPTIONS . | cut -c-3"];
  expect(await fallthru(remount)).toMatchObject({ status: 0, stderr: "" });
  expect(await inside(target, `${state}; touch new || true`)).toBe("ro,\n");
  symlinkSync(script, "/usr/sbin/mount.fuse.fallthru");
  expect(await run(["mount", "-o", "remount,rw", target])).toMatchObject({ status: 0, stderr: "" });
  expect(await inside(target, `${state}; touch new; ls new`)).toBe("rw,\nnew\n");
  await unmount(target);
  // As a line of fstab(5).
  const fstab = join(directory, "fstab");
  writeFileSync(fstab, `name ${target} fallthru ${options},noauto 0 0\n`);
  expect(await run(["mount", "--fstab", fstab, target])).toMatchObject({ status: 0, stderr: "" });
  expect(await inside(target, "cat dir/file")).toBe("top\n");
  await unmount(target);
  await unmount("/usr/sbin");
  expect(readFileSync(join(directory, "top/dir/file"), "utf8")).toBe("top\n");
});

test("fallthru mount says what is wrong with its options and layers, and mounts nothing", async () => {
  const before = traces();
  const { directory, options, target } = layers();
  const refusal = async (text: string, where = target): Promise<string> => {
    const { status, stdout, stderr } = await fallthru(["mount", "-o", text, where]);
    expect({ isRefused: status !== 0, stdout }).toEqual({ isRefused: true, stdout: "" });
    return stderr.split("\n")[0] ?? "";
  };
  expect(await refusal("lowerdir=/none")).toContain("/none: no such file or directory");
  expect(await refusal("ro,colour=red")).toBe("fallthru: no mount option colour=red");
  expect(await refusal("ro")).toBe("fallthru: there is nothing to mount");
  expect(await refusal(options, join(directory, "none"))).toBe(`fallthru: no directory ${join(directory, "none")}`);
  expect(await refusal(`lowerdir=${directory}/top,upperdir=/proc`)).toContain("on another file system");
  expect(await refusal(`${options},index=maybe`)).toBe("fallthru: index is either on or off");
  expect(await leftoversAfter(before)).toEqual([]);
});

test("an upper without attributes and devices is written in aufs's format, and known again; layer list tells", async () => {
  const { directory, options, target } = layers();
  const upper = join(directory, "upper");
  await run(["mount", "-t", "ramfs", "ramfs", upper]);
  try {
    mkdirSync(join(upper, "u"));
    const with_ = `${options.replace(/,.*/, "")},upperdir=${upper}/u`;
    const script = "ls -A . dir; cat dir/file";
    expect(await fallthru(["mount", "-o", with_, target])).toMatchObject({ status: 0, stdout: "", stderr: "" });
    await inside(
      target,
      "echo more >>dir/file; rm dir/other; mv dir dir2; mkdir dir; echo x >dir/file; ! touch .wh.x; ! mknod null c 0 0",
    );
    const seen = await inside(target, script);
    const listed = await fallthru(["layer", "list", target]);
    await unmount(target);
    expect(seen.split("\n").slice(0, 3)).toEqual([".:", "dir", "dir2"]);
    expect(listed).toMatchObject({ status: 0, stderr: "" });
    expect(listed.stdout.split("\n")[1]).toBe(`upper  aufs     ${upper}/u`);
    expect((await fallthru(["layer", "list", target])).status).toBe(3);
    expect((await fallthru(["layer", "show", join(upper, "u")])).stdout).toContain("opaque  dir ");
    for (const again of [with_, `${with_},ro`, with_.replace(/lowerdir=(.*),upperdir=(.*)/, "lowerdir=$2:$1")]) {
      expect(await fallthru(["mount", "-o", again, target])).toMatchObject({ status: 0, stderr: "" });
      expect(await inside(target, script)).toBe(seen);
      await unmount(target);
    }
  } finally {
    await unmountWhenFree(upper);
  }
});
