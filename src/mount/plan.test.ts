import { expect, test } from "bun:test";
import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import { planHost } from "./host.ts";
import { describeStep, type PlanStep, type Union, splitLowers } from "./plan.ts";

test("describeStep() says what a step does", () => {
  const union: Union = { type: "overlay", lowers: ["/a"], upper: "/u", work: "/w", volatile: false };
  const cases: readonly (readonly [PlanStep, string])[] = [
    [{ kind: "union", at: "/", union, attributes: 0 }, "mount overlay on /: lower /a, upper /u"],
    [
      {
        kind: "union",
        at: "/x",
        union: { ...union, lowers: ["/a", "/b", "/c", "/d"], volatile: true },
        attributes: MOUNT_ATTR.NODEV,
      },
      "mount overlay on /x: lower 4 lowers, upper /u (nodev, volatile)",
    ],
    [{ kind: "bind", at: "/x", from: "/y", depth: "recursive", attributes: MOUNT_ATTR.RDONLY }, "rbind /y on /x (ro)"],
    [
      { kind: "filesystem", at: "/x", type: "tmpfs", source: "tmpfs", options: ["mode=755"], attributes: 0 },
      "mount tmpfs on /x (mode=755)",
    ],
    [{ kind: "copy", at: "/x", from: "/y" }, "copy /y to /x"],
  ];
  for (const [step, text] of cases) expect(describeStep(step)).toBe(text);
});

test("planHost() plans a union for the root first, and the kernel's interfaces last", () => {
  const lowers: string[] = [];
  const { steps, warnings } = planHost((lower) => {
    lowers.push(lower);
    return { type: "overlay", lowers: [lower], upper: "/u", work: "/w", volatile: false };
  });
  expect(warnings).toEqual([]);
  expect([lowers[0], steps[0]?.kind, steps[0]?.at]).toEqual(["/", "union", "/"]);
  const places = steps.map(({ at }) => at);
  for (const at of ["/proc", "/sys", "/dev/pts", "/dev/shm", "/var/lib/fallthru/sessions"])
    expect(places.filter((place) => place === at)).toEqual([at]);
  expect(places.filter((place) => place.startsWith("/run/fallthru") || place.startsWith("/sys/fs"))).toEqual([]);
  // Whatever lies below another comes after it.
  for (const [index, place] of places.entries()) {
    for (const later of places.slice(index + 1)) expect(place.startsWith(`${later === "/" ? "" : later}/`)).toBe(false);
  }
});

test("planHost() leaves out what is mounted where nothing is to be shown", () => {
  const union = (lower: string): Union => {
    return { type: "overlay", lowers: [lower], upper: "/u", work: "/w", volatile: false };
  };
  expect(planHost(union).steps.some(({ at }) => at === "/dev")).toBe(true);
  expect(planHost(union, ["/dev"]).steps.filter(({ kind, at }) => kind === "union" && at.startsWith("/dev"))).toEqual(
    [],
  );
});

test("splitLowers() tells a session's own frozen layers from those that were there before it", () => {
  const lowers = ["/frozen/2", "/frozen/1", "/extra", "/root"];
  expect(splitLowers({ lowers, frozen: 2 })).toEqual({ own: ["/frozen/2", "/frozen/1"], base: ["/extra", "/root"] });
  expect(splitLowers({ lowers })).toEqual({ own: [], base: lowers });
});
