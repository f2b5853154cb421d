// The start is the budget (ARCHITECTURE.md, fact 1): what a verb loads, of the compiled executable. bench/start.ts times it.
import { expect, test } from "bun:test";
import { executable, run } from "../../test/support/fallthru.ts";

test.each([
  ["--version", false],
  ["run --help", false],
  ["completion bash", false],
  ["doctor", true],
])("%s loads koffi: %p", async (line, isLoaded) => {
  const { status, stderr } = await run(["strace", "-f", "-e", "trace=openat", executable, ...line.split(" ")]);
  expect({ line, status, isLoaded: stderr.includes("koffi.node") }).toEqual({ line, status: 0, isLoaded });
});
