// deadline: 400
// kill -9 at every system call that changes something, while a root is replaced under an open session, and while that ends.
import { beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { fallthru } from "../support/fallthru.ts";
import { leftoversAfter, type Traces } from "../support/leftovers.ts";
import { describeAs, ext4Image } from "../support/rootstores.ts";
import { killEverywhere } from "./everywhere.ts";
import { restart, settle } from "./session.ts";

let before: Traces;
/** By the chroot's name. */
const roots = new Map<string, string>();

/** As few files as there can be: each is system calls to be killed at. */
function smallestRoot(): string {
  const root = temporaryDirectory("root");
  for (const name of ["bin", "etc"]) mkdirSync(join(root, name));
  copyFileSync("/bin/busybox", join(root, "bin/busybox"));
  for (const name of ["sh", "cat"]) symlinkSync("busybox", join(root, "bin", name));
  writeFileSync(join(root, "etc/round"), "0\n");
  return root;
}

beforeAll(async () => {
  const tree = smallestRoot();
  mkdirSync("/etc/schroot/crash");
  for (const name of ["fstab", "copyfiles", "nssdatabases"]) writeFileSync(join("/etc/schroot/crash", name), "");
  const dir = join(temporaryDirectory("dir"), "root");
  execFileSync("cp", ["-a", tree, dir]);
  describeChroot("dir", dir, ["profile=crash"]);
  const image = ext4Image(tree, "8M");
  describeAs("loop", "loopback", [`file=${image}`, "profile=crash"]);
  roots.set("dir", dir).set("loop", image);
  before = await settle();
});

const ok = async (...args: string[]): Promise<string> => {
  const result = await fallthru(args);
  expect({ args, ...result }).toMatchObject({ args, status: 0, stderr: "" });
  return result.stdout;
};
const roundIn = async (source: string): Promise<string> => (await ok("run", source, "--", "cat", "/etc/round")).trim();

function beside(name: string): string[] {
  const root = roots.get(name) ?? "";
  return readdirSync(dirname(root)).filter((entry) => entry !== basename(root));
}

async function checkNothingLeft(name: string): Promise<void> {
  expect(beside(name)).toEqual([]);
  expect(existsSync("/var/lib/fallthru/sessions/.replaced")).toBe(false);
  expect(await leftoversAfter(before)).toEqual([]);
}

for (const name of ["dir", "loop"]) {
  describe(`of type ${name}`, () => {
    let round = 0;

    test("an update that is killed leaves the old root or the new one, and a session its own", async () => {
      let was = "";
      const counts = await killEverywhere(
        ["chroot", "update", name, "--", "sh", "-c", "read n < /etc/round; echo $((n+1)) > /etc/round"],
        async () => {
          was = await roundIn(name);
          await ok("begin", name, "--name", "x");
        },
        async () => {
          expect(await roundIn("@x")).toBe(was);
          // All is found again, as it is after a restart of the machine.
          restart();
          expect(JSON.parse(await ok("recover", "--json"))).toMatchObject({ lost: [] });
          expect(await roundIn("@x")).toBe(was);
          const now = await roundIn(name);
          expect([was, String(Number(was) + 1)]).toContain(now);
          expect(beside(name)).toHaveLength(now === was ? 0 : 1);
          await ok("end", "x");
          await checkNothingLeft(name);
          return now === was ? "gone" : "whole";
        },
      );
      expect(counts.points).toBeGreaterThan(60);
      expect(counts.whole).toBeGreaterThan(5);
      expect(counts.gone).toBeGreaterThan(20);
    });

    test("the end of the last session that is killed takes the old root with it, or leaves both", async () => {
      let was = "";
      const counts = await killEverywhere(
        ["end", "x"],
        async () => {
          was = await roundIn(name);
          await ok("begin", name, "--name", "x");
          await ok("chroot", "update", name, "--", "sh", "-c", `echo ${++round + 1000} > /etc/round`);
          expect(beside(name)).toHaveLength(1);
        },
        async () => {
          const { recovered } = JSON.parse(await ok("recover", "--json")) as { recovered: string[] };
          expect(recovered.length).toBeLessThan(2);
          const { sessions } = JSON.parse(await ok("list", "--json")) as { sessions: unknown[] };
          if (sessions.length > 0) {
            expect(await roundIn("@x")).toBe(was);
            await ok("end", "x");
          }
          await checkNothingLeft(name);
          return sessions.length > 0 ? "whole" : "gone";
        },
      );
      expect(counts.points).toBeGreaterThan(20);
      expect(counts.whole + counts.gone).toBeGreaterThan(counts.points * 0.85);
      expect(counts.gone).toBeGreaterThan(10);
    });
  });
}
