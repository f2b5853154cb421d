// What a commit carries that is easily lost: capabilities, contents that a union has left below, what lies deep.
import { afterEach, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, linkSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { mountPointOf } from "../../src/session/paths.ts";
import { makeCommitRoot } from "../support/commits.ts";
import { executable, fallthru } from "../support/fallthru.ts";
import { describeTree } from "../support/tree.ts";

const { root } = await makeCommitRoot(["one", "two", "dir/file", "dir/sub/deep"]);

afterEach(async () => {
  await fallthru(["end", "s"]);
  rmSync("/var/lib/fallthru/sessions/.commits", { recursive: true, force: true });
});

async function begin(...options: string[]): Promise<void> {
  // What is made in the same tick of the clock as the session counts as changed since.
  await sleep(30);
  expect(await fallthru(["begin", "t", "--name", "s", ...options])).toMatchObject({ status: 0, stderr: "" });
  await sleep(30);
}

function text(path: string): string {
  return readFileSync(join(root, "srv", path), "utf8");
}

test("capabilities stay where only other attributes change, forth and back", async () => {
  const names = ["touched", "moded", "owned", "extended"].map((name) => join(root, "srv", name));
  for (const name of names) writeFileSync(name, "program\n");
  execFileSync(
    "setcap",
    names.flatMap((name) => ["cap_net_raw+ep", name]),
  );
  await begin();
  const before = describeTree(root);
  const merged = join(mountPointOf("s"), "srv");
  const [touched, moded, owned, extended] = names.map((name) => join(merged, name.slice(join(root, "srv").length)));
  const change = 'touch "$0"; chmod 700 "$1"; chown 5:6 "$2"; setfattr -n user.a -v b "$3"';
  execFileSync("sh", ["-c", change, touched ?? "", moded ?? "", owned ?? "", extended ?? ""]);
  expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
  expect(describeTree(join(root, "srv"))).toEqual(describeTree(merged));
  expect((await fallthru(["diff", "s"])).stdout).toContain("nothing changed");
  expect(await fallthru(["undo"])).toMatchObject({ status: 0, stderr: "" });
  expect(describeTree(root)).toEqual(before);
});

test("of what was only renamed or chmod'ed on a union of ours the content is committed, and capabilities", async () => {
  writeFileSync(join(root, "srv/program"), "program\n");
  execFileSync("setcap", ["cap_net_raw+ep", join(root, "srv/program")]);
  await begin("--union", "fallthru");
  const before = describeTree(root);
  const merged = join(mountPointOf("s"), "srv");
  execFileSync("sh", ["-ec", "mv one renamed; mv program moved; mv dir/file two; chmod 600 dir/sub/deep"], {
    cwd: merged,
  });
  const seen = describeTree(merged);
  expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
  expect([text("renamed"), text("moved"), text("two"), text("dir/sub/deep")]).toEqual([
    "one\n",
    "program\n",
    "dir/file\n",
    "dir/sub/deep\n",
  ]);
  expect(describeTree(join(root, "srv"))).toEqual(seen);
  expect(describeTree(merged)).toEqual(seen);
  writeFileSync("/proc/sys/vm/drop_caches", "2");
  expect(describeTree(merged)).toEqual(seen);
  expect(await fallthru(["undo"])).toMatchObject({ status: 0, stderr: "" });
  expect(describeTree(root)).toEqual(before);
  expect(describeTree(merged)).toEqual(seen);
});

test("directories deeper than PATH_MAX are committed, discarded and undone as others", async () => {
  await begin();
  const name = "n".repeat(200);
  // A shell keeps its whole path.
  const deep = (does: string): string => {
    const enter = `for (1 .. 30) { mkdir "${name}"; chdir "${name}" or die "$!" }`;
    return execFileSync("perl", ["-e", `${enter} exec "/bin/sh", "-ec", $ARGV[0]`, does], {
      cwd: join(mountPointOf("s"), "srv"),
      encoding: "utf8",
    });
  };
  deep("echo below >file; mkdir dir; echo x >dir/x");
  expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
  expect(deep("cat file dir/x; echo more >>file; rm -r dir; mkdir new")).toBe("below\nx\n");
  expect(await fallthru(["discard", "s", `/srv/${name}`])).toMatchObject({ status: 0, stderr: "" });
  expect(deep("ls; cat file dir/x; echo more >>file; mv dir dir2")).toBe("dir\nfile\nbelow\nx\n");
  expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
  const find = (): string[] => {
    const words = ["srv", "-mindepth", "31", "-printf", "%f %y %s\\n"];
    return execFileSync("find", words, { cwd: root, encoding: "utf8" })
      .replace(/ d \d+/g, " d")
      .split("\n")
      .toSorted();
  };
  expect(find()).toEqual(["", "dir2 d", "file f 11", "x f 2"]);
  expect(await fallthru(["undo"])).toMatchObject({ status: 0, stderr: "" });
  expect(find()).toEqual(["", "dir d", "file f 6", "x f 2"]);
  expect(await fallthru(["undo"])).toMatchObject({ status: 0, stderr: "" });
  expect(existsSync(join(root, "srv", name))).toBe(false);
});

test("PATHs are bytes: a name that isn't UTF-8 is compared, committed and discarded by it", async () => {
  await begin();
  const merged = join(mountPointOf("s"), "srv");
  const sh = (script: string): string => execFileSync("bash", ["-ec", script, executable], { encoding: "latin1" });
  execFileSync(
    "bash",
    ["-ec", "for n in $'caf\\351' $'caf\\352' $'d\\377/x'; do mkdir -p $(dirname $n); echo $n >$n; done"],
    {
      cwd: merged,
    },
  );
  expect(sh("$0 diff @s --name-status -- $'/srv/caf\\351'")).toBe('A\t"/srv/caf\\351"\n');
  sh("$0 commit @s $'srv/caf\\352/' $'/srv/d\\377/x'");
  const found = execFileSync("find", [join(root, "srv"), "-printf", "%P\\n"], { encoding: "latin1" });
  expect(found.match(/^.*[\x80-\xff].*$/gm)?.toSorted()).toEqual(["caf\xea", "d\xff", "d\xff/x"]);
  sh("$0 discard s $'/srv/caf\\351'");
  expect(execFileSync("find", [merged, "-name", "caf*", "-printf", "%f\\n"], { encoding: "latin1" })).toBe("caf\xea\n");
});

test.each(["overlay", "fallthru"])(
  "a directory keeps what it has where another is from the same place, which an undo has brought back: %s",
  async (union) => {
    await begin("--union", union);
    const merged = join(mountPointOf("s"), "srv");
    const sh = (script: string): string => execFileSync("sh", ["-ec", script], { cwd: merged, encoding: "utf8" });
    sh("mv dir kept");
    expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
    // Nothing in the upper hides it any more.
    sh("mkdir dir; rmdir dir");
    expect(await fallthru(["undo"])).toMatchObject({ status: 0, stderr: "" });
    sh("mv dir moved; rm moved/file");
    expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
    expect(sh("cat kept/file; find moved")).toBe("dir/file\nmoved\nmoved/sub\nmoved/sub/deep\n");
    expect(text("kept/file")).toBe("dir/file\n");
  },
);

test.each(["overlay", "fallthru"])(
  "what was only renamed out of a directory that an undo moves back has its content: %s",
  async (union) => {
    await begin("--union", union);
    const merged = join(mountPointOf("s"), "srv");
    const sh = (script: string): string => execFileSync("sh", ["-ec", script], { cwd: merged, encoding: "utf8" });
    sh("mv dir moved");
    expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
    sh("mv moved/file renamed; mv moved/sub/deep moved/sub/deeper");
    expect(await fallthru(["undo"])).toMatchObject({ status: 0, stderr: "" });
    expect(sh("cat renamed moved/sub/deeper")).toBe("dir/file\ndir/sub/deep\n");
    expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
    expect([text("renamed"), text("moved/sub/deeper")]).toEqual(["dir/file\n", "dir/sub/deep\n"]);
  },
);

test.each(["overlay", "fallthru"])(
  "a directory that took another's place has its own files, though both were made in the same moment: %s",
  async (union) => {
    const make = "mkdir old new; for i in $(seq 200); do echo old$i >old/$i; echo new$i >new/$i; done";
    execFileSync("sh", ["-ec", make], { cwd: join(root, "srv") });
    await begin("--union", union);
    const merged = join(mountPointOf("s"), "srv");
    execFileSync("sh", ["-ec", "rm -r old; mv new old"], { cwd: merged });
    const seen = describeTree(merged);
    expect((await fallthru(["diff", "s", "--name-status", "--", "/srv/old"])).stdout.match(/^M/gm)?.length).toBe(200);
    expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
    expect(describeTree(merged)).toEqual(seen);
    expect([text("old/1"), text("old/200")]).toEqual(["new1\n", "new200\n"]);
  },
);

test.each(["overlay", "fallthru"])(
  "of two files that change places the one with another name is that file then: %s",
  async (union) => {
    await begin("--union", union);
    const merged = join(mountPointOf("s"), "srv");
    const sh = (script: string): string => execFileSync("sh", ["-ec", script], { cwd: merged, encoding: "utf8" });
    sh("echo linked >a; ln a c; echo single >b");
    expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
    sh("mv a t; mv b a; mv t b");
    expect(await fallthru(["commit", "s"])).toMatchObject({ status: 0, stderr: "" });
    expect([text("a"), text("b"), text("c")]).toEqual(["single\n", "linked\n", "linked\n"]);
    expect(statSync(join(root, "srv/b")).ino).toBe(statSync(join(root, "srv/c")).ino);
    expect((await fallthru(["diff", "s"])).stdout).toContain("nothing changed");
  },
);

test.each(["overlay", "fallthru"])(
  "names of one file stay that in the session when one of them is committed, also mounted anew: %s",
  async (union) => {
    linkSync(join(root, "srv/two"), join(root, "srv/linked"));
    await begin("--union", union);
    const merged = join(mountPointOf("s"), "srv");
    const sh = (script: string): string => execFileSync("sh", ["-ec", script], { cwd: merged, encoding: "utf8" });
    sh("echo more >>two; mv dir moved");
    expect(await fallthru(["commit", "s", "/srv/linked", "/srv/moved"])).toMatchObject({ status: 0, stderr: "" });
    expect(sh("echo again >>two; cat linked")).toBe("two\nmore\nagain\n");
    expect(text("linked")).toBe("two\nmore\n");
  },
);
