// The start is the budget (ARCHITECTURE.md, fact 1): what a verb loads, of the compiled executable. bench/start.ts times it.
import { beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { executable, fallthru, run } from "../../test/support/fallthru.ts";
import { tinyRoot } from "../../test/support/roots.ts";

beforeAll(async () => {
  await fallthru(["chroot", "add", "tiny", tinyRoot()]);
});

test.each([
  "--version",
  "run --help",
  "completion bash",
  "begin tiny --name start",
  "list",
  "run @start -- true",
  "end start",
])("%s loads no koffi", async (line) => {
  const { status, stderr } = await run(["strace", "-f", "-e", "trace=openat", executable, ...line.split(" ")]);
  expect({ status, ours: stderr.includes("libc.so.6"), koffi: stderr.includes("koffi.node") }).toEqual({
    status: 0,
    ours: true,
    koffi: false,
  });
});

// node:fs alone costs a start 1.2 ms. Of the sources, where it can be seen who calls for one of Node's modules.
const telling = `import { writeSync } from "node:fs";
const load = process.getBuiltinModule;
process.getBuiltinModule = (name) => {
  writeSync(2, name + " is loaded");
  return load(name);
};
`;
test.each(["begin tiny --name start", "run @start -- true", "end start", "run tiny -- true"])(
  "%s calls for none of Node's modules",
  async (line) => {
    const preload = join(temporaryDirectory(), "telling.ts");
    writeFileSync(preload, telling);
    const main = resolve(import.meta.dirname, "main.ts");
    const { status, stderr } = await run([process.execPath, "--preload", preload, main, ...line.split(" ")]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  },
);
