// docs/fuse-example.md: its program does what the page says.
import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { temporaryDirectory } from "./support/directories.ts";
import { client, Server } from "./support/fuse.ts";

const top = resolve(import.meta.dirname, "..");

test("the example file system of the documentation works, and has at most 40 lines", async () => {
  const page = readFileSync(join(top, "docs/fuse-example.md"), "utf8");
  const source = /```ts\n([^]*?)```/.exec(page)?.[1] ?? "";
  expect(source.trim().split("\n").length).toBeLessThanOrEqual(40);
  const directory = temporaryDirectory("hello");
  const program = join(directory, "hello.ts");
  writeFileSync(program, source.replace('"fallthru/fuse"', JSON.stringify(join(top, "src/fuse/index.ts"))));
  const mountPoint = temporaryDirectory("fuse");
  const child = spawn(process.execPath, [program, mountPoint], { stdio: ["ignore", "pipe", "inherit"] });
  await using server = new Server(mountPoint, child);
  while (!readFileSync("/proc/self/mounts", "utf8").includes(mountPoint))
    await new Promise((wake) => setTimeout(wake, 5));
  expect(
    await client(server, "cat hello; ls -a; stat -c '%a %s' hello; cat none 2>&1 || true; echo >new || true"),
  ).toBe("Hello from TypeScript\n.\n..\nhello\n644 22\ncat: none: No such file or directory\n");
});
