import { afterAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { KernelError } from "../kernel/error.ts";
import { planHost } from "./host.ts";

const disk = temporaryDirectory("disk");
execFileSync("mount", ["-t", "tmpfs", "tmpfs", disk]);
afterAll(() => execFileSync("umount", [disk]));

test("planHost() passes over what is gone by the time that it is looked at", () => {
  const union = (lower: string) =>
    ({ type: "overlay", lowers: [lower], upper: "/u", work: "/w", volatile: false }) as const;
  expect(planHost(union).steps.map(({ at }) => at)).toContain(disk);
  const { steps } = planHost((lower) => {
    if (lower === disk) throw new KernelError({ syscall: "stat", path: lower, errno: "ENOENT" });
    return union(lower);
  });
  expect(steps.map(({ at }) => at)).toContain("/");
  expect(steps.map(({ at }) => at)).not.toContain(disk);
});
