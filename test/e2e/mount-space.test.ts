// The process of a mount must not keep alive what it is mounted in.
import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, run } from "../support/fallthru.ts";
import { leftoversAfter, traces } from "../support/leftovers.ts";

function makeLayers(): { lower: string; options: string; target: string; other: string } {
  const directory = temporaryDirectory("union");
  for (const name of ["lower", "upper", "target", "other"]) mkdirSync(join(directory, name));
  writeFileSync(join(directory, "lower/file"), "content\n");
  const lower = `${directory}/lower`;
  const options = `lowerdir=${lower},upperdir=${directory}/upper`;
  return { lower, options, target: `${directory}/target`, other: `${directory}/other` };
}

for (const [whose, spaces] of [
  ["the superuser's", ["--mount"]],
  ["a user name space's", ["--user", "--map-root-user", "--mount"]],
] as const) {
  test(`mounts end with ${whose} mount name space, and their servers with them`, async () => {
    const before = traces();
    const { lower, options, target, other } = makeLayers();
    const script = `'${executable}' mount -o '${options}' '${target}'
      '${executable}' mount -o 'lowerdir=${lower}' '${other}'
      echo new >'${target}/new'; cat '${target}/new' '${other}/file'`;
    const { stdout, stderr } = await run(["unshare", ...spaces, "sh", "-euc", script], { timeoutMs: 60_000 });
    expect({ stdout, stderr }).toEqual({ stdout: "new\ncontent\n", stderr: "" });
    expect(await leftoversAfter(before)).toEqual([]);
  });
}

test("a server has nothing mounted but its own program, and keeps no other mount busy", async () => {
  const before = traces();
  const { options, target, other } = makeLayers();
  const script = `
    mount -t tmpfs busy '${other}'
    '${executable}' mount -o '${options}' '${target}'
    for id in $(ls /proc | grep '^[0-9]'); do
      test "$(cat /proc/$id/cgroup 2>/dev/null)" = "$(cat /proc/self/cgroup)" || continue
      case "$(cat /proc/$id/cmdline 2>/dev/null | tr '\\0' ' ')" in '${executable} serve '*) server=$id;; esac
    done
    cut -d' ' -f5 /proc/$server/mountinfo
    kill -9 $server; cat '${target}/file'; umount '${other}'; umount '${target}'`;
  const { stdout, stderr } = await run(["unshare", "--mount", "sh", "-euc", script], { timeoutMs: 60_000 });
  expect(stderr).toBe("");
  const lines = stdout.trimEnd().split("\n");
  expect(lines.pop()).toBe("content");
  expect(lines).toContain("/");
  const own = dirname(executable);
  const isNeeded = (path: string): boolean =>
    path === "/" || path === own || /^\/(usr|bin|lib\w*|proc|dev\/(null|kmsg)|etc\/ld.so.cache)$/.test(path);
  expect(lines.filter((path) => !isNeeded(path) && !own.startsWith(path))).toEqual([]);
  expect(await leftoversAfter(before)).toEqual([]);
});
