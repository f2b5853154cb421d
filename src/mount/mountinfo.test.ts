import { expect, test } from "bun:test";
import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import { parseMountInfo, splitOptions } from "./mountinfo.ts";

test("parseMountInfo() reads what the kernel writes", () => {
  const lines = [
    "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue",
    "40 36 0:39 / /with\\040space\\012and\\134back\\011tab rw - fuse.x sou\\040rce rw,a=b",
    "41 36 0:40 /a /caf\xc3\xa9 ro - tmpfs  ro",
    "42 36 0:41 / /odd\xff rw shared:1 - tmpfs none rw",
    "",
    "nonsense",
  ];
  const [first, second, third, fourth, ...more] = parseMountInfo(lines.join("\n"));
  expect(first).toEqual({
    id: 36,
    parent: 35,
    device: "98:0",
    root: "/mnt1",
    mountPoint: "/mnt2",
    options: ["rw", "noatime"],
    type: "ext3",
    source: "/dev/root",
    superOptions: ["rw", "errors=continue"],
  });
  expect([second?.mountPoint, second?.source, second?.type]).toEqual([
    "/with space\nand\\back\ttab",
    "sou rce",
    "fuse.x",
  ]);
  expect([third?.mountPoint, third?.options]).toEqual(["/café", ["ro"]]);
  expect(fourth?.mountPoint).toBe("/odd\uFFFD");
  expect(more).toEqual([]);
});

test("splitOptions() tells attributes of mounts from options of file systems", () => {
  const { RDONLY, NOSUID, NODEV, NOEXEC, NOATIME } = MOUNT_ATTR;
  expect(splitOptions(["ro", "nosuid", "size=1M", "nodev", "noexec", "noatime", "bind"])).toEqual({
    attributes: RDONLY | NOSUID | NODEV | NOEXEC | NOATIME,
    rest: ["size=1M", "bind"],
  });
  expect(splitOptions(["rw", "relatime"])).toEqual({ attributes: 0, rest: ["rw", "relatime"] });
});
