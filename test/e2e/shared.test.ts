// Several processes have a session together, as logins do: none is told that it exists, however many others are faster.
import { afterAll, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { describeChroot } from "../support/directories.ts";
import { fallthru, run } from "../support/fallthru.ts";
import { tinyRoot } from "../support/roots.ts";

const fixture = resolve(import.meta.dirname, "../fixtures/enter-shared.ts");

afterAll(async () => {
  await fallthru(["recover"]);
});

test("who loses again and again to others goes on, also where a machine is so slow that it takes minutes", async () => {
  describeChroot("tiny", tinyRoot(), ["profile=minimal"]);
  const enter = (): ReturnType<typeof run> => run([process.execPath, fixture, "tiny", "together", "15"]);
  const ends = await Promise.all(Array.from({ length: 6 }, enter));
  for (const { status, stderr } of ends) expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(readdirSync("/var/lib/fallthru/sessions").filter((name) => !name.startsWith("."))).toEqual([]);
});
