// On kernels before Linux 6.15 a tree is built beside its place: whoever is killed there has shown nothing.
import { beforeAll, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { attachPlan, clearBeside } from "../../src/mount/attach.ts";
import { detachMount } from "../../src/kernel/mount.ts";
import type { MountPlan, Union } from "../../src/mount/plan.ts";
import { readMountInfo } from "../../src/mount/mountinfo.ts";
import { temporaryDirectory } from "../support/directories.ts";
import { run } from "../support/fallthru.ts";
import { leftovers, type Traces } from "../support/leftovers.ts";
import { tinyRoot } from "../support/roots.ts";
import { settle } from "./session.ts";

const mountPoint = "/run/fallthru/mount/x";
let before: Traces;

beforeAll(async () => {
  before = await settle();
});

function makePlan(): MountPlan {
  const layers = temporaryDirectory("layers");
  for (const name of ["upper", "work"]) mkdirSync(`${layers}/${name}`);
  const union: Union = {
    type: "overlay",
    lowers: [tinyRoot()],
    upper: `${layers}/upper`,
    work: `${layers}/work`,
    volatile: false,
  };
  return {
    steps: [
      { kind: "union", at: "/", union, attributes: 0 },
      { kind: "bind", at: "/proc", from: "/proc", depth: "single", attributes: 0 },
      { kind: "filesystem", at: "/tmp", type: "tmpfs", source: "tmpfs", options: [], attributes: 0 },
    ],
  };
}

const mountsAt = (): string[] =>
  readMountInfo().flatMap((mount) => (mount.mountPoint.startsWith("/run/fallthru/mount") ? [mount.mountPoint] : []));

test("attachPlan() one by one shows the tree when it is whole", () => {
  mkdirSync(mountPoint);
  attachPlan(makePlan(), mountPoint, {
    order: "attached",
    prepare: () => expect(mountsAt()).not.toContain(mountPoint),
  });
  expect(mountsAt()).toEqual([mountPoint, `${mountPoint}/proc`, `${mountPoint}/tmp`]);
  expect(readFileSync(`${mountPoint}/etc/passwd`, "utf8")).toContain("root");
  detachMount(mountPoint);
  rmdirSync(mountPoint);
  expect(leftovers(before)).toEqual([]);
});

test("attachPlan() one by one leaves nothing where it fails", () => {
  mkdirSync(mountPoint);
  const prepare = (): void => {
    throw new Error("no");
  };
  expect(() => attachPlan(makePlan(), mountPoint, { order: "attached", prepare })).toThrow("no");
  rmdirSync(mountPoint);
  expect(leftovers(before)).toEqual([]);
});

test("clearBeside() takes away what a killed attachPlan() has built", async () => {
  mkdirSync(mountPoint);
  const program = `
    import { attachPlan } from ${JSON.stringify(import.meta.resolve("../../src/mount/attach.ts"))};
    const plan = ${JSON.stringify(makePlan())};
    plan.steps.push({ get kind() { return process.kill(process.pid, "SIGKILL"); } });
    attachPlan(plan, ${JSON.stringify(mountPoint)}, { order: "attached" });`;
  expect((await run([process.execPath, "-e", program])).signal).toBe("SIGKILL");
  expect(mountsAt()).toHaveLength(3);
  expect(mountsAt()).not.toContain(mountPoint);
  clearBeside(mountPoint);
  clearBeside(mountPoint);
  rmdirSync(mountPoint);
  expect(leftovers(before)).toEqual([]);
});
