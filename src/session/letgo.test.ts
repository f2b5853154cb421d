import { expect, test } from "bun:test";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { openDirectory } from "../kernel/file.ts";
import type { PlanStep, Union } from "../mount/plan.ts";
import { canLetGoLater } from "./letgo.ts";

test("canLetGoLater() says so only of overlays that lie on the root's own file system", () => {
  const directory = temporaryDirectory();
  const [lower, upper] = [join(directory, "lower"), join(directory, "upper")];
  for (const path of [lower, upper]) mkdirSync(path);
  const union: Union = { type: "overlay", lowers: [lower], upper, work: `${directory}/work`, volatile: false };
  const step = (changed: Partial<Union>): PlanStep => ({
    kind: "union",
    at: "/",
    attributes: 0,
    union: { ...union, ...changed },
  });
  const bind: PlanStep = { kind: "bind", at: "/proc", from: "/proc", depth: "single", attributes: 0 };
  using dir = openDirectory(directory);
  const can = (...steps: PlanStep[]) => canLetGoLater({ steps }, dir);
  const isOnRoot = statSync(directory).dev === statSync("/").dev;
  expect(can(step({}))).toBe(isOnRoot);
  expect(can(step({}), bind, step({}))).toBe(isOnRoot);
  expect(can(step({ lowers: Array.from({ length: 500 }, () => lower) }))).toBe(false);
  expect(can(step({ type: "fallthru" }))).toBe(false);
  expect(can(step({ lowers: [lower, "/proc/sys"] }))).toBe(false);
  expect(can(step({}), step({ upper: "/dev/shm" }))).toBe(false);
  expect(can(step({ lowers: [`${directory}/gone`] }))).toBe(false);
});
