// `fallthru layer add` and `remove` while the union is in use.
import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { processesIn } from "../support/cgroup.ts";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";
import { leftoversAfter, traces } from "../support/leftovers.ts";
import { standIn } from "../support/standing.ts";

async function sh(script: string): Promise<string> {
  const { status, stdout, stderr } = await run(["sh", "-euc", script], { timeoutMs: 60_000 });
  if (status !== 0) throw new Error(`${script}: ${String(status)}: ${stderr}`);
  return stdout;
}

async function done(...args: string[]): Promise<void> {
  expect(await fallthru(["layer", ...args])).toMatchObject({ status: 0, stderr: "", stdout: "" });
}

async function setUp(): Promise<{ directory: string; target: string; layers: () => Promise<string[]> }> {
  const directory = temporaryDirectory("union");
  await sh(`cd '${directory}'; mkdir -p lower/dir/sub top/dir/sub bottom/dir/sub upper work target
    for name in lower top bottom; do
      echo $name >$name/$name; echo $name >$name/dir/$name; echo $name >$name/file; echo $name >$name/dir/sub/file
    done
    rm lower/dir/sub/file; echo both >lower/both; echo low >bottom/both`);
  const target = join(directory, "target");
  const options = `lowerdir=${directory}/lower,upperdir=${directory}/upper,workdir=${directory}/work`;
  expect(await fallthru(["mount", "-o", options, target])).toMatchObject({ status: 0, stderr: "" });
  const layers = async (): Promise<string[]> => {
    const said = JSON.parse((await fallthru(["layer", "list", "--json", target])).stdout) as {
      layers: { path: string }[];
    };
    return said.layers.map(({ path }) => path.slice(directory.length + 1));
  };
  return { directory, target, layers };
}

function killServers(): void {
  for (const id of processesIn()) {
    if (commandOf(id) === `${executable}\0serve\0`) process.kill(id, "SIGKILL");
  }
}

function commandOf(id: number): string {
  try {
    return readFileSync(`/proc/${id}/cmdline`, "utf8");
  } catch {
    return ""; // it has just ended
  }
}

test("lowers are added over and below the others, and what is cached of names goes", async () => {
  const before = traces();
  const { directory, target, layers } = await setUp();
  const look = `cd '${target}'; find . -type f | sort | tr '\\n' ' '; cat file dir/sub/file both 2>&1 || true`;
  expect(await sh(look)).toContain("./both ./dir/lower ./file ./lower lower\n");
  await sh(`cd '${target}'; test ! -e top; test ! -e dir/sub/file; stat dir/sub >/dev/null`);
  await done("add", target, `${directory}/top`);
  expect(await layers()).toEqual(["upper", "top", "lower"]);
  expect(await sh(look)).toBe("./both ./dir/lower ./dir/sub/file ./dir/top ./file ./lower ./top top\ntop\nboth\n");
  await done("add", "--bottom", target, `${directory}/bottom`);
  expect(await layers()).toEqual(["upper", "top", "lower", "bottom"]);
  expect(await sh(look)).toContain("./bottom ./dir/bottom ./dir/lower ./dir/sub/file ./dir/top");
  killServers();
  expect(await sh(look)).toContain("./bottom ./dir/bottom ./dir/lower ./dir/sub/file ./dir/top");
  await done("remove", target, `${directory}/top`);
  expect(await layers()).toEqual(["upper", "lower", "bottom"]);
  expect(await sh(look)).toBe(
    "./both ./bottom ./dir/bottom ./dir/lower ./dir/sub/file ./file ./lower lower\nbottom\nboth\n",
  );
  await done("add", target, `${directory}/top`);
  expect(await sh(look)).toContain("top\ntop\nboth\n");
  await sh(`umount '${target}'`);
  expect(await leftoversAfter(before)).toEqual([]);
});

test("who works in the union goes on: directories, open files, what was changed", async () => {
  const { directory, target } = await setUp();
  const other = temporaryDirectory("signal");
  const program = `
    cd '${target}/dir/sub'; exec 3<../../file 4<>../../both 5<../lower 6<../../lower; rm ../../lower
    echo changed >../changed; echo more >&4
    : >'${other}/ready'; while [ ! -e '${other}/go' ]; do sleep 0.02; done
    ls; pwd -P; cat <&3; cat <&5; cat <&6; echo again >&4; cat ../../both ../changed ../../file
    test ! -e ../../lower; echo new >new; cat new`;
  const working = run(["sh", "-euc", program], { timeoutMs: 60_000 });
  await sh(`while [ ! -e '${other}/ready' ]; do sleep 0.02; done`);
  await done("add", target, `${directory}/top`);
  killServers();
  await sh(`stat '${target}' >/dev/null`);
  writeFileSync(join(other, "go"), "");
  const { stdout, stderr } = await working;
  expect(stderr).toBe("");
  expect(stdout).toBe(`file\n${target}/dir/sub\nlower\nlower\nlower\nmore\nagain\nchanged\ntop\nnew\n`);
  await sh(`umount '${target}'`);
});

test("a lower that is in use isn't removed, and it is said why", async () => {
  const { directory, target, layers } = await setUp();
  const refusal = async (...args: string[]): Promise<string> => {
    const { status, stderr } = await fallthru(["layer", ...args]);
    expect(status).not.toBe(0);
    return stderr.split("\n")[0] ?? "";
  };
  await done("add", target, `${directory}/top`);
  const top = `${directory}/top`;
  const held = `exec 3<'${target}/dir/top'; '${executable}' layer remove '${target}' '${top}' || true`;
  expect((await run(["sh", "-c", held])).stderr).toContain(`${top} is in use: /dir/top is open`);
  await sh(`chmod 600 '${target}/dir/top'`);
  expect(await refusal("remove", target, top)).toBe(`fallthru: ${top} is in use: the content of /dir/top is there`);
  await sh(`echo >>'${target}/dir/top'`);
  expect(await refusal("add", target, top)).toBe(`fallthru: ${top} is a layer of this union already`);
  expect(await refusal("remove", target, `${directory}/bottom`)).toBe(
    `fallthru: ${directory}/bottom is not a lower of this union`,
  );
  expect(await refusal("add", target, `${directory}/missing`)).toContain("missing");
  expect(await refusal("add", directory, top)).toContain("no union of ours is mounted on");
  await sh(`mount -t tmpfs inside '${target}/dir/sub'`);
  expect(await refusal("remove", target, top)).toContain(`${target}/dir/sub is mounted in the union`);
  await sh(`umount '${target}/dir/sub'`);
  await done("remove", target, top);
  expect(await layers()).toEqual(["upper", "lower"]);
  expect(await sh(`cat '${target}/dir/top' '${target}/file'`)).toBe("top\n\nlower\n");
  await sh(`umount '${target}'`);
});

test("layers on another file system, and in a union without an upper", async () => {
  const directory = temporaryDirectory("union");
  for (const name of ["a", "tmp", "target"]) mkdirSync(join(directory, name));
  const target = join(directory, "target");
  await sh(`cd '${directory}'; mount -t tmpfs tmp tmp; mkdir tmp/b a/d tmp/b/d; echo a >a/d/f; echo b >tmp/b/d/f`);
  expect(await fallthru(["mount", "-o", `lowerdir=${directory}/a`, target])).toMatchObject({ status: 0, stderr: "" });
  await using standing = standIn(join(target, "d"));
  const ino = await sh(`stat -c %i '${target}/d' '${target}/d/f'`);
  await done("add", target, `${directory}/tmp/b`);
  expect(await sh(`cat '${target}/d/f'; stat -c %i '${target}/d'`)).toBe(`b\n${ino.split("\n")[0] ?? ""}\n`);
  await done("remove", target, `${directory}/tmp/b`);
  expect(await sh(`cat '${target}/d/f'; stat -c %i '${target}/d' '${target}/d/f'`)).toBe(`a\n${ino}`);
  await standing.leave();
  expect((await fallthru(["layer", "remove", target, `${directory}/a`])).stderr).toContain("is the only layer");
  await sh(`umount '${target}'; umount '${directory}/tmp'`);
});

test("where nobody says what is open the layers stay as they are", async () => {
  const directory = temporaryDirectory("union");
  await sh(`cd '${directory}'; mkdir lower more target; echo low >lower/file`);
  const target = join(directory, "target");
  const options = `lowerdir=${directory}/lower,passthrough=off`;
  expect(await fallthru(["mount", "-o", options, target])).toMatchObject({ status: 0, stderr: "" });
  const { status, stderr } = await fallthru(["layer", "add", target, `${directory}/more`]);
  expect({ status, stderr }).toMatchObject({
    status: 7,
    stderr: expect.stringContaining("passthrough=off: its layers stay as they are"),
  });
  expect(await sh(`cat '${target}/file'; umount '${target}'`)).toBe("low\n");
});
