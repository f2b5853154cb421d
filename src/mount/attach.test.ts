import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { leftoversAfter, traces } from "../../test/support/leftovers.ts";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import { KernelError } from "../kernel/error.ts";
import { openDirectory } from "../kernel/file.ts";
import { cloneMount, detachMount, makeMount, MountError, setMountAttributes } from "../kernel/mount.ts";
import { copyInto } from "../layer/inside.ts";
import { attachPlan } from "./attach.ts";
import { readMountInfo } from "./mountinfo.ts";
import { makeOverlay } from "./overlay/mount.ts";
import type { PlanStep, Union } from "./plan.ts";

describe("attached trees", () => {
  const before = traces();
  let base = "";
  let count = 0;
  beforeEach(() => {
    base = temporaryDirectory("attach");
    for (const name of ["lower/etc", "lower/mnt", "other", "point"]) mkdirSync(join(base, name), { recursive: true });
    writeFileSync(join(base, "lower/etc/file"), "lower\n");
    writeFileSync(join(base, "other/file"), "other\n");
  });
  afterEach(async () => expect(await leftoversAfter(before)).toEqual([]));
  const sh = (script: string) => execFileSync("bash", ["-ec", script], { cwd: base, encoding: "utf8" });

  function union(...lowers: string[]): Union {
    const dir = join(base, `layers-${count++}`);
    for (const name of ["upper", "work"]) mkdirSync(join(dir, name), { recursive: true });
    return {
      type: "overlay",
      lowers: lowers.map((name) => join(base, name)),
      upper: join(dir, "upper"),
      work: join(dir, "work"),
      volatile: false,
    };
  }

  for (const order of ["detached", "attached"] as const) {
    test(`show the plan's steps, in order (${order})`, () => {
      const steps: PlanStep[] = [
        { kind: "union", at: "/", union: union("lower"), attributes: 0 },
        {
          kind: "filesystem",
          at: "/new/tmp",
          type: "tmpfs",
          source: "mine",
          options: ["size=64k", "mode=1777"],
          attributes: MOUNT_ATTR.NODEV,
        },
        {
          kind: "bind",
          at: "/new/tmp/deep/er",
          from: join(base, "other"),
          depth: "single",
          attributes: MOUNT_ATTR.RDONLY,
        },
        { kind: "bind", at: "/etc/bound", from: join(base, "other/file"), depth: "single", attributes: 0 },
        { kind: "union", at: "/mnt", union: union("other"), attributes: MOUNT_ATTR.NOEXEC },
        { kind: "copy", at: "/mnt/copied", from: join(base, "other/file") },
        { kind: "bind", at: "/none", from: "/no/such", depth: "single", attributes: 0, optional: true },
      ];
      const prepare = (root: Parameters<typeof copyInto>[0]) =>
        copyInto(root, "/mnt/hidden", Buffer.from("x"), { mode: 0o644, uid: 0, gid: 0, mtimeNs: 0n });
      const { unionOptions, warnings } = attachPlan({ steps }, join(base, "point"), { order, prepare });
      try {
        expect(sh("cat point/etc/file point/etc/bound point/mnt/copied point/new/tmp/deep/er/file; ls point/mnt")).toBe(
          "lower\nother\nother\nother\ncopied\nfile\n",
        );
        expect(() => sh("touch point/new/tmp/deep/er/x")).toThrow(/Read-only/);
        expect(warnings).toEqual(["/none is left out: clone mount /no/such: no such file or directory (ENOENT)"]);
        expect(unionOptions).toEqual([
          ["redirect_dir=on", "index=on", "metacopy=on", "xino=auto"],
          ["redirect_dir=on", "index=on", "metacopy=on", "xino=auto"],
        ]);
        const found = readMountInfo().filter(({ mountPoint }) => mountPoint.startsWith(`${base}/point`));
        expect(
          found.map(({ mountPoint, options }) => [
            mountPoint.slice(base.length),
            options.includes("ro"),
            options.includes("noexec"),
            options.includes("nodev"),
          ]),
        ).toEqual([
          ["/point", false, false, false],
          ["/point/new/tmp", false, false, true],
          ["/point/new/tmp/deep/er", true, false, false],
          ["/point/etc/bound", false, false, false],
          ["/point/mnt", false, true, false],
        ]);
        expect(
          readFileSync("/proc/self/mountinfo", "utf8")
            .split("\n")
            .filter((line) => line.includes(`${base}/point`) && / (shared|master):/.test(line)),
        ).toEqual([]);
        expect(sh("ls lower other")).toBe("lower:\netc\nmnt\n\nother:\nfile\n");
      } finally {
        detachMount(join(base, "point"));
      }
    });

    test(`leave nothing where a step fails (${order})`, () => {
      const root: PlanStep = { kind: "union", at: "/", union: union("lower"), attributes: 0 };
      const tmpfs: PlanStep = {
        kind: "filesystem",
        at: "/mnt",
        type: "tmpfs",
        source: "x",
        options: [],
        attributes: 0,
      };
      const failing: readonly (readonly [PlanStep, RegExp])[] = [
        [
          { kind: "bind", at: "/x", from: "/no/such", depth: "single", attributes: 0 },
          /^clone mount \/no\/such: no such file/,
        ],
        [
          { kind: "bind", at: "/etc/file", from: join(base, "other"), depth: "single", attributes: 0 },
          /^mount .*other on .*\/etc\/file: not a directory/,
        ],
        [
          { kind: "bind", at: "/etc/file/x", from: join(base, "other"), depth: "single", attributes: 0 },
          /not a directory/,
        ],
        [
          { kind: "filesystem", at: "/x", type: "nosuchfs", source: "x", options: [], attributes: 0 },
          /^mount nosuchfs: no such device \(ENODEV\)$/,
        ],
        [
          { kind: "filesystem", at: "/x", type: "tmpfs", source: "x", options: ["nosuchoption=1"], attributes: 0 },
          /^set mount option nosuchoption 1: invalid argument/,
        ],
        [
          { kind: "union", at: "/x", union: { ...union("other"), upper: "/proc" }, attributes: 0 },
          /^(set mount option upperdir \/proc|mount overlay over .*\/other): /,
        ],
        [{ kind: "copy", at: "/x", from: "/no/such" }, /^open \/no\/such: no such file/],
        [{ kind: "copy", at: "/etc/file/x", from: join(base, "other/file") }, /not a directory/],
      ];
      for (const [step, message] of failing) {
        expect(() => attachPlan({ steps: [root, tmpfs, step, tmpfs] }, join(base, "point"), { order })).toThrow(
          message,
        );
        expect(sh("ls -A point")).toBe("");
      }
      const prepare = () => {
        throw new KernelError({ syscall: "x", path: "", errno: "EIO" });
      };
      expect(() => attachPlan({ steps: [root] }, join(base, "point"), { order, prepare })).toThrow(/EIO/);
      expect(() => attachPlan({ steps: [root] }, join(base, "missing"), { order })).toThrow(/ENOENT/);
      sh("ln -s point link");
      expect(() => attachPlan({ steps: [root] }, join(base, "link"), { order })).toThrow(/not a directory|too many/);
      expect(() => attachPlan({ steps: [] }, join(base, "point"), { order })).toThrow(/empty/);
    });

    test(`stay within their root, whatever links there are (${order})`, () => {
      sh(
        "ln -s ../../../../../../../../../../.. lower/up; ln -s /etc lower/abs; ln -s /proc/self/root/etc lower/magic; mkdir outside",
      );
      const at = (path: string): PlanStep => ({
        kind: "bind",
        at: path,
        from: join(base, "other"),
        depth: "single",
        attributes: 0,
      });
      attachPlan(
        {
          steps: [
            { kind: "union", at: "/", union: union("lower"), attributes: 0 },
            at("/up/one"),
            at("/abs/two"),
            at("/up/../up/three"),
          ],
        },
        join(base, "point"),
        { order },
      );
      try {
        expect(sh("cd point; cat one/file etc/two/file three/file")).toBe("other\nother\nother\n");
        const points = readMountInfo().filter(
          ({ mountPoint, root }) => root.endsWith("/other") && !mountPoint.startsWith(`${base}/point/`),
        );
        expect(points).toEqual([]);
      } finally {
        detachMount(join(base, "point"));
      }
    });
  }

  test("of an overlay with paths of every length and many layers", () => {
    let long = base;
    for (let depth = 0; depth < 3; depth++) long = join(long, "d".repeat(200));
    mkdirSync(join(long, "lower"), { recursive: true });
    mkdirSync(join(long, "upper"));
    mkdirSync(join(long, "work"));
    writeFileSync(join(long, "lower/deep"), "");
    const opened: string[] = [];
    using _root = makeOverlay(
      {
        type: "overlay",
        lowers: [join(long, "lower"), join(base, "other")],
        upper: join(long, "upper"),
        work: join(long, "work"),
        volatile: true,
      },
      0,
      (path) => {
        opened.push(path);
        return openDirectory(path);
      },
    ).mount;
    expect(new Set(opened)).toEqual(new Set(["lower", "upper", "work"].map((name) => join(long, name))));
  });

  test("makeMount() says which option the kernel refuses, and why", () => {
    try {
      makeMount("overlay", [["lowerdir+", "/no/such/place"]]);
      throw new Error("mounted");
    } catch (error) {
      expect(error).toBeInstanceOf(MountError);
      expect(error).toMatchObject({
        option: "lowerdir+",
        errno: "ENOENT",
        message: "set mount option lowerdir+ /no/such/place: no such file or directory (ENOENT)",
      });
    }
    expect(() => makeMount("overlay", [])).toThrow(/^mount overlay: invalid argument/);
    try {
      makeMount(
        "overlay",
        Array.from({ length: 501 }, () => ["lowerdir+", base] as const),
      );
      throw new Error("mounted");
    } catch (error) {
      expect(error).toMatchObject({
        option: "lowerdir+",
        hint: expect.stringMatching(/^the kernel says: .*limit is 500/) as string,
      });
    }
  });

  test("cloneMount() copies a mount alone or with all below it, and attributes reach all of them", () => {
    sh("mount --bind other other; mkdir other/sub; mount -t tmpfs tmpfs other/sub; touch other/sub/x");
    try {
      for (const [depth, names] of [
        ["single", "file\nsub\n"],
        ["recursive", "file\nsub\nx\n"],
      ] as const) {
        using mount = cloneMount(null, join(base, "other"), depth);
        setMountAttributes(mount, { set: MOUNT_ATTR.RDONLY }, depth);
        expect(sh(`ls /proc/${process.pid}/fd/${mount.number}/; ls /proc/${process.pid}/fd/${mount.number}/sub`)).toBe(
          names,
        );
        expect(() => sh(`touch /proc/${process.pid}/fd/${mount.number}/new`)).toThrow(/Read-only/);
        if (depth === "recursive")
          expect(() => sh(`touch /proc/${process.pid}/fd/${mount.number}/sub/new`)).toThrow(/Read-only/);
      }
    } finally {
      sh("umount -R other");
    }
  });

  test("detachMount() follows no link and takes only mounts", () => {
    expect(() => detachMount(join(base, "point"))).toThrow(/EINVAL/);
    sh("ln -s /proc link");
    expect(() => detachMount(join(base, "link"))).toThrow(/EINVAL/);
    expect(readFileSync("/proc/self/comm", "utf8")).not.toBe("");
  });
});
