// A mount outlives its server: ARCHITECTURE.md, fact 7.
import { expect, test } from "bun:test";
import { attachAt, Connection } from "../src/fuse/connection.ts";
import type { Terms } from "../src/fuse/wire/init.ts";
import { temporaryDirectory } from "./support/directories.ts";
import { client, startServer } from "./support/fuse.ts";

test("a new server answers what a killed one had read, and the caller sees a pause", async () => {
  const mountPoint = temporaryDirectory("fuse");
  using connection = new Connection();
  attachAt(connection.mount(), mountPoint);
  const files = { file: "still here\n" };
  const first = startServer({ hang: "open", files }, mountPoint, connection.device.number);
  const terms = JSON.parse(await first.line(/^\{/)) as Terms;
  expect(terms.features).toContain("HAS_RESEND");
  await using reader = { text: client(first, "cat file"), [Symbol.asyncDispose]: async () => {} };
  await first.line(/^hangs$/);
  await first.kill();
  await using second = startServer({ terms, files }, mountPoint, connection.device.number);
  expect(await reader.text).toBe("still here\n");
  await second.line(/^resent$/);
  expect(await client(second, "cat file; echo more >new; cat new")).toBe("still here\nmore\n");
});
