// deadline: 300
// A mount of ours outlives its server: what is done in it while the server is killed sees a pause, and nothing else.
import { expect, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  futimesSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { handleOf, openHandle } from "../../src/conformance/kit/directory.ts";
import { O_PATH, undo } from "../../src/conformance/kit/kernel.ts";
import { processesIn } from "../support/cgroup.ts";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run, type RunResult } from "../support/fallthru.ts";
import { leftoversAfter, traces } from "../support/leftovers.ts";

/** Mounts `files` files below an empty upper. */
async function mount(files: number, more: string, prepare = (_lower: string): void => {}): Promise<string> {
  const directory = temporaryDirectory("union");
  for (const name of ["lower/dir/sub", "upper", "work", "target"])
    mkdirSync(join(directory, name), { recursive: true });
  for (let index = 0; index < files; index++) writeFileSync(join(directory, `lower/dir/f${index}`), `low ${index}\n`);
  prepare(join(directory, "lower"));
  const target = join(directory, "target");
  await mountAgain(target, more);
  return target;
}

/** Mounts what mount() has made. */
async function mountAgain(target: string, more: string): Promise<void> {
  const directory = dirname(target);
  const options = `lowerdir=${directory}/lower,upperdir=${directory}/upper,workdir=${directory}/work,${more}`;
  expect(await fallthru(["mount", "-o", options, target])).toMatchObject({ status: 0, stderr: "" });
}

/** The servers of this test file's mounts. */
function servers(): number[] {
  return processesIn().filter((id) => commandOf(id) === `${executable}\0serve\0`);
}

function commandOf(id: number): string {
  try {
    return readFileSync(`/proc/${id}/cmdline`, "utf8");
  } catch {
    return ""; // it has just ended
  }
}

/** Kills the server, and waits for the next. */
async function killServer(): Promise<void> {
  const [old] = servers();
  if (old === undefined) throw new Error("there is no server");
  process.kill(old, "SIGKILL");
  while (servers().every((id) => id === old)) await sleep(2);
}

/** A shell at work. */
class Running {
  isDone = false;
  readonly result: Promise<RunResult>;

  constructor(script: string) {
    this.result = run(["sh", "-euc", script], { timeoutMs: 100_000 }).finally(() => (this.isDone = true));
  }
}

/** A shell at work, which has the server killed by its `killed`. */
async function runKilling(script: string): Promise<RunResult> {
  // It asks by one file, and waits for another.
  const flag = join(temporaryDirectory("flag"), "killed");
  const shell = new Running(`
    killed() { echo kill >'${flag}.wanted'; until test -e '${flag}'; do sleep 0.01; done; rm '${flag}'; }
    ${script}`);
  while (!shell.isDone) {
    await sleep(10);
    if ((await run(["rm", `${flag}.wanted`])).status !== 0) continue;
    await killServer();
    writeFileSync(flag, "");
  }
  return shell.result;
}

test.each(["on", "off", "on,remember=3", "off,remember=3"])(
  "a build goes on while its server is killed again and again: passthrough=%s",
  async (mode) => {
    const before = traces();
    const target = await mount(50, `passthrough=${mode}`);
    const script = `
    cd '${target}/dir'; exec 9>>f1
    for i in $(seq 100); do
      echo $i >w$i; cat w$i f3 >/dev/null; mv w$i v$i; ln v$i l$i; mkdir d$i; mv l$i d$i/x; ls d$i >/dev/null; echo $i >&9
      test $i -lt 50 || rm -r d$i
    done
    ls | wc -l; cat v1 v100 d7/x; stat -c %h v7 v75; tail -n1 f1; grep -c . f1; ls d7 sub`;
    const build = new Running(script);
    let kills = 0;
    for (; kills < 30 && !build.isDone; kills++) {
      await killServer();
      // On a busy machine a server that is killed at once gets nothing done, and neither does the build.
      await run(["stat", target]);
      await sleep(60);
    }
    expect(await build.result).toMatchObject({
      stderr: "",
      status: 0,
      stdout: ["200", "1", "100", "7", "2", "1", "100", "101", "d7:", "x", "", "sub:", ""].join("\n"),
    });
    expect(kills).toBeGreaterThan(3);
    await run(["umount", target]);
    expect(await leftoversAfter(before)).toEqual([]);
  },
);

test.each(["overlay", "aufs"].flatMap((dialect) => ["on", "off"].map((mode) => [dialect, mode])))(
  "open files, inode numbers, link counts and working directories stay what they were: %s, passthrough=%s",
  async (dialect, mode) => {
    const target = await mount(10, `dialect=${dialect},passthrough=${mode}`);
    const before = join(temporaryDirectory("before"), "inodes");
    const script = `
    cd '${target}/dir'; exec 7<>new 8<f5 9>>f6; echo one >&9; echo hello >&7; ln f1 l1
    inodes() { stat -c '%i %h %n' f1 l1 f6 new sub .; }
    inodes >'${before}'; echo 2 >/proc/sys/vm/drop_caches; killed; echo 2 >/proc/sys/vm/drop_caches; pwd -P; inodes | diff '${before}' - && echo same
    cat <&8; echo two >&9; cat f6; killed; mv sub sub2; touch sub2/x; cd sub2; killed; ls; cd ..; cat new
    flock 8; killed; flock -n f5 true || echo locked; exec 8<&-; flock -n f5 echo free
    exec 5<>gone 4<f7; echo gone >&5; rm gone f7; killed; cat /proc/self/fd/5; cat <&4; stat -Lc '%s %h' /proc/self/fd/5; echo on >&5
    killed; cat /proc/self/fd/5; stat -Lc '%s %h' /proc/self/fd/4; exec 5>&- 4<&-
    exec 6<>f8; rm f8; killed; printf LOW >&6; cat /proc/self/fd/6; killed; cat /proc/self/fd/6; exec 6>&-; ls gone f7 2>/dev/null || echo none`;
    expect(await runKilling(script)).toMatchObject({
      stderr: "",
      status: 0,
      stdout: `${target}/dir\nsame\nlow 5\nlow 6\none\ntwo\nx\nhello\nlocked\nfree\ngone\nlow 7\n5 0\ngone\non\n6 0\nLOW 8\nLOW 8\nnone\n`,
    });
    await run(["umount", target]);
  },
);

test.each(["on", "off"])(
  "who opens while the server is killed closes nobody else's file: passthrough=%s",
  async (mode) => {
    const target = await mount(12, `passthrough=${mode}`);
    for (let index = 0; index < 12; index++) {
      const old = servers();
      // What is asked for right after the kill, the old server may have read.
      const script = `cd '${target}/dir'; exec 8<f${index}; kill -9 ${old.join(" ")}; exec 9>>f${index}; echo more >&9; cat <&8`;
      const result = await new Running(script).result;
      expect(result).toMatchObject({ stderr: "", stdout: `low ${index}\nmore\n`, status: 0 });
      while (servers().length === 0 || servers().some((id) => old.includes(id))) await sleep(2);
    }
    expect(await run(["umount", target])).toMatchObject({ status: 0 });
  },
  60_000,
);

test.each(["on", "off"])(
  "what was removed while open stays what it is: passthrough=%s",
  async (mode) => {
    const target = await mount(2, `passthrough=${mode}`);
    const [below, made, merged] = ["dir/sub", "new", "dir"].map((name) => join(target, name));
    mkdirSync(String(made));
    expect(await run(["sh", "-euc", "mkfifo fifo; mkdir dir/x", "sh"], { directory: target })).toMatchObject({
      status: 0,
    });
    const inos = [below, made, merged].map((path) => statSync(String(path)).ino);
    const open = [below, made, merged].map((path) =>
      openSync(String(path), constants.O_RDONLY | constants.O_DIRECTORY),
    );
    const fifo = openSync(join(target, "fifo"), "r+");
    expect(await run(["rm", "-r", "dir", "new", "fifo"], { directory: target })).toMatchObject({ status: 0 });
    await killServer();
    expect(open.map((fd) => [fstatSync(fd).nlink, fstatSync(fd).ino])).toEqual(inos.map((ino) => [0, ino]));
    for (const [index, fd] of [...open, fifo].entries()) {
      fchmodSync(fd, 0o700 + index);
      futimesSync(fd, 1, 2 + index);
    }
    await killServer();
    for (const [index, fd] of [...open, fifo].entries()) {
      const { mode, mtimeMs, nlink } = fstatSync(fd);
      expect([mode & 0o7777, mtimeMs, nlink]).toEqual([0o700 + index, 2000 + 1000 * index, 0]);
      closeSync(fd);
    }
    expect(statSync(join(target, "..", "lower/dir/sub")).mode & 0o7777).toBe(0o755);
    expect(await run(["umount", target])).toMatchObject({ status: 0 });
  },
  60_000,
);

test.each(["on", "off"])(
  "what was removed while open as O_PATH alone stays in reach: passthrough=%s",
  async (mode) => {
    const target = await mount(3, `passthrough=${mode}`);
    writeFileSync(join(target, "new"), "new\n");
    chmodSync(join(target, "dir/f1"), 0o640);
    const paths = ["new", "dir/f0", "dir/f1", "dir/f2"].map((name) => join(target, name));
    const inos = paths.map((path) => statSync(path).ino);
    const open = paths.map((path) => openSync(path, O_PATH));
    writeFileSync(join(target, "other"), "other\n");
    renameSync(join(target, "other"), join(target, "dir/f2"));
    expect(await run(["rm", "new", "dir/f0", "dir/f1"], { directory: target })).toMatchObject({ status: 0 });
    await killServer();
    writeFileSync("/proc/sys/vm/drop_caches", "2");
    expect(open.map((fd) => [fstatSync(fd).nlink, fstatSync(fd).ino])).toEqual(inos.map((ino) => [0, ino]));
    for (const fd of open) chmodSync(`/proc/self/fd/${fd}`, 0o600);
    await killServer();
    const text = open.map((fd) => [readFileSync(`/proc/self/fd/${fd}`, "utf8"), fstatSync(fd).mode & 0o7777]);
    expect(text).toEqual(["new\n", "low 0\n", "low 1\n", "low 2\n"].map((content) => [content, 0o600]));
    for (const fd of open) closeSync(fd);
    expect(await run(["umount", target])).toMatchObject({ status: 0 });
  },
  60_000,
);

test.each(["on", "off"])(
  "a file that was removed while open is read, changed and written though its content is below: passthrough=%s",
  async (mode) => {
    const linkBelow = (lower: string): void => {
      for (const index of [0, 2]) linkSync(join(lower, `dir/f${index}`), join(lower, `dir/l${index}`));
    };
    const target = await mount(3, `passthrough=${mode}`, linkBelow);
    const script = `
    cd '${target}/dir'; killed_and_cold() { killed; echo 3 >/proc/sys/vm/drop_caches; }
    at() { stat -Lc '%h %s %a' /proc/self/fd/$1 </dev/null; }; inode() { stat -Lc %i /proc/self/fd/$1; }
    exec 3<f0; inode=$(inode 3); rm f0; killed_and_cold; cat <&3; at 3; killed_and_cold; cat /proc/self/fd/3; test $(inode 3) = $inode
    test $(stat -c %i l0) = $inode; echo more >>l0; cat /proc/self/fd/3; chmod 600 l0; at 3; rm l0; killed_and_cold; at 3; cat /proc/self/fd/3
    chmod 640 f1; exec 4<f1; rm f1; killed_and_cold; cat <&4; at 4; chmod 604 /proc/self/fd/4; killed_and_cold; at 4
    echo on >>/proc/self/fd/4; killed_and_cold; cat /proc/self/fd/4
    exec 5<>f2; printf LOW >&5; rm f2; killed_and_cold; at 5; killed_and_cold; test $(stat -c %i l2) = $(inode 5); cat l2; rm l2; killed_and_cold; at 5
    exec 3<&- 4<&- 5<&-; ls`;
    expect(await runKilling(script)).toMatchObject({
      stderr: "",
      status: 0,
      stdout:
        "low 0\n1 6 644\nlow 0\nlow 0\nmore\n1 11 600\n0 11 600\nlow 0\nmore\n" +
        "low 1\n0 6 640\n0 6 604\nlow 1\non\n1 6 644\nLOW 2\n0 6 644\nsub\n",
    });
    expect(await run(["umount", target])).toMatchObject({ status: 0 });
  },
  60_000,
);

test.each(["on", "off"])(
  "times that no layer has stay what they were when the server is killed: passthrough=%s",
  async (mode) => {
    const target = await mount(5, `passthrough=${mode}`);
    const directory = join(target, "dir");
    const inside = async (script: string): Promise<string> => {
      const result = await run(["sh", "-euc", script], { directory });
      expect(result).toMatchObject({ status: 0, stderr: "" });
      return result.stdout;
    };
    // As the server says it, not as the kernel has cached it.
    const times = (): Promise<string> =>
      inside("echo 2 >/proc/sys/vm/drop_caches; stat -c '%n %x %y %z' f? sub .; readlink link");
    await inside("ln -s f0 link; cat f0 f1; ls sub; : >>f1; chmod 600 f2; printf x >>f3; sleep 0.02; chown 0:0 f3");
    const before = await times();
    await killServer();
    expect(await times()).toBe(before);
    await inside("chmod 640 f1; touch sub/new; cat f4");
    const [changed, old] = [(await times()).split("\n"), before.split("\n")];
    // f1, f4 and sub
    expect(changed.flatMap((line, index) => (line === old[index] ? [] : [index]))).toEqual([1, 4, 5]);
    await killServer();
    expect((await times()).split("\n")).toEqual(changed);
    await run(["umount", target]);
    await mountAgain(target, `passthrough=${mode}`);
    expect((await times()).split("\n")).toEqual(changed);
    expect(await run(["umount", target])).toMatchObject({ status: 0 });
  },
  60_000,
);

test("a file that is copied up when the server is killed keeps its times", async () => {
  const target = await mount(400, "passthrough=on");
  const [lower, upper] = [join(target, "../lower/dir"), join(target, "dir")];
  const times = async (directory: string): Promise<string[]> => {
    const { stdout } = await run(["sh", "-c", "stat -c '%n %y %z' . f*"], { directory });
    return stdout.split("\n");
  };
  await sleep(20);
  const copying = new Running(`cd '${upper}'; for i in $(seq 0 399); do : >>f$i; done`);
  for (let kills = 0; kills < 30 && !copying.isDone; kills++) {
    await killServer();
    await run(["stat", target]);
    await sleep(kills % 7);
  }
  expect(await copying.result).toMatchObject({ status: 0, stderr: "" });
  writeFileSync("/proc/sys/vm/drop_caches", "2");
  expect(await times(upper)).toEqual(await times(lower));
  expect(await run(["umount", target])).toMatchObject({ status: 0 });
});

test("directories that are made, moved and removed while the server is killed stay in reach", async () => {
  const target = await mount(20, "passthrough=on");
  const worker = (name: string): string => `(
    for i in $(seq 25); do
      mkdir ${name}$i; echo y >${name}$i/y; ln ${name}$i/y ${name}$i/z; mv ${name}$i/y ${name}$i/x
      mv ${name}$i ${name}_$i; test "$(ls ${name}_$i)" = "$(printf 'x\\nz')"; rm -r ${name}_$i
    done)`;
  const work = new Running(
    `cd '${target}/dir'; ${worker("a")} & first=$!; ${worker("b")}; wait $first; ls -d [ab]* || true`,
  );
  for (let kills = 0; !work.isDone; kills++) {
    if (kills < 40) await killServer();
    // It is to get on, too; on a busy machine a server that is killed at once gets nothing done.
    await run(["stat", target]);
    await sleep(100);
  }
  expect(await work.result).toMatchObject({ status: 0, stdout: "", stderr: expect.not.stringContaining("rm:") });
  expect(await run(["umount", target])).toMatchObject({ status: 0 });
});

test.each(["on", "off"])("file handles stay what they are when the server is killed: passthrough=%s", async (mode) => {
  const target = await mount(3, `passthrough=${mode}`);
  writeFileSync(join(target, "dir/new"), "new\n");
  writeFileSync(join(target, "dir/f1"), "changed\n");
  const names = ["dir/f0", "dir/f1", "dir/new", "dir"];
  const handles = names.map((name) => handleOf(join(target, name)));
  const open = openSync(join(target, "dir/new"), "r");
  await killServer();
  expect(names.map((name) => handleOf(join(target, name)))).toEqual(handles);
  renameSync(join(target, "dir/new"), join(target, "renamed"));
  linkSync(join(target, "renamed"), join(target, "linked"));
  expect(readFileSync(open, "utf8")).toBe("new\n");
  closeSync(open);
  writeFileSync("/proc/sys/vm/drop_caches", "2");
  const read = (handle: Buffer): string => {
    const fd = openHandle(target, handle);
    return fstatSync(fd).isDirectory() ? "" : readFileSync(fd, "utf8");
  };
  expect(handles.map(read)).toEqual(["low 0\n", "changed\n", "new\n", ""]);
  undo();
  expect(await run(["umount", target])).toMatchObject({ status: 0 });
});

test("a server that has known many files makes way for another when the kernel has forgotten them", async () => {
  const target = await mount(52_000, "passthrough=on");
  const [old] = servers();
  const work = new Running(
    `cd '${target}/dir'; exec 5<>gone; echo gone >&5; rm gone; find . -newermt 2100-01-01; echo 2 >/proc/sys/vm/drop_caches
    until test -e '${target}.replaced'; do sleep 0.1; done; cat f1 /proc/self/fd/5; ls | wc -l`,
  );
  while (servers().includes(old ?? 0)) {
    expect(work.isDone).toBe(false);
    await sleep(20);
  }
  writeFileSync(`${target}.replaced`, "");
  expect(await work.result).toMatchObject({ status: 0, stdout: "low 1\ngone\n52001\n", stderr: "" });
  expect(await run(["umount", target])).toMatchObject({ status: 0 });
});
