// The start is the budget (ARCHITECTURE.md, fact 1): what a verb loads, of the compiled executable. bench/start.ts times it.
import { beforeAll, expect, test } from "bun:test";
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
