// deadline: 400
import { describe, expect, test } from "bun:test";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { UserError } from "../error.ts";
import { hostCodename } from "./apt/host.ts";
import { createChrootRoot, type CreateOptions } from "./create.ts";
import { clearPartials } from "./place.ts";
import type { Progress } from "./progress.ts";

const suite = hostCodename() ?? "stable";

async function problemOf(options: CreateOptions): Promise<UserError> {
  const error: unknown = await createChrootRoot("x", options).catch((reason: unknown) => reason);
  if (error instanceof UserError) return error;
  throw error instanceof Error ? error : new Error("it succeeded");
}

test("createChrootRoot() makes a root that programs run in, apt works in, and nothing of the host is left in", async () => {
  const directory = temporaryDirectory("store");
  const heard: Progress[] = [];
  const warnings: string[] = [];
  const path = await createChrootRoot("x", {
    directory,
    suite,
    variant: "minbase",
    include: ["less"],
    onProgress: (progress) => heard.push(progress),
    onWarning: (text) => warnings.push(text),
  });
  expect([path, warnings]).toEqual([`${directory}/x`, []]);
  expect([...new Set(heard.map(({ phase }) => phase))]).toEqual([
    "update",
    "download",
    "extract",
    "install",
    "clean",
    "finish",
    "sync",
  ]);
  const fractions = heard.map(({ fraction }) => fraction ?? 0);
  expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
  const inside = (...command: string[]) => execFileSync("chroot", [path, ...command], { encoding: "utf8" });
  expect(inside("sh", "-c", "less --version | head -n 1; id -un")).toMatch(/^less [0-9]+.*\nroot\n$/);
  expect(inside("dpkg", "--audit")).toBe("");
  for (const name of ["etc/resolv.conf", "etc/hosts", "etc/apt/apt.conf.d/81fallthru-making"])
    expect(existsSync(join(path, name))).toBe(false);
  expect(readdirSync(join(path, "etc/apt/auth.conf.d"))).toEqual([]);
  expect(readFileSync(join(path, "etc/hostname"), "utf8")).toBe("localhost\n");
  expect(lstatSync(join(path, "dev/null")).isCharacterDevice()).toBe(true);
  expect(() => inside("/usr/sbin/policy-rc.d")).toThrow();
  // What the host reaches, apt inside reaches too.
  execFileSync("cp", ["/etc/resolv.conf", "/etc/hosts", join(path, "etc")]);
  expect(inside("apt-get", "update", "-q", "--error-on=any")).toContain("Reading package lists");
});

test("createChrootRoot() that is killed or stopped leaves no process, no mount, nothing that looks finished", async () => {
  const directory = temporaryDirectory("store");
  // mmdebstrap, apt and dpkg have it among their arguments.
  const processes = () => spawnSync("pgrep", ["-fc", directory], { encoding: "utf8" }).stdout.trim();
  const script = `import { createChrootRoot } from ${JSON.stringify(join(import.meta.dirname, "create.ts"))};
    await createChrootRoot("x", { directory: ${JSON.stringify(directory)}, suite: ${JSON.stringify(suite)} });`;
  const file = join(temporaryDirectory("script"), "create.ts");
  writeFileSync(file, script);
  const child = spawn(process.execPath, [file], { stdio: "ignore" });
  await sleep(6000);
  expect(Number(processes())).toBeGreaterThan(2);
  child.kill("SIGKILL");
  await once(child, "exit");
  await sleep(500);
  expect(processes()).toBe("0");
  expect(await clearPartials({ directory })).toEqual(["x"]);
  expect(readdirSync(directory)).toEqual([]);

  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error("stopped")), 4000);
  const stopped = await createChrootRoot("x", { directory, suite, signal: controller.signal }).catch(
    (error: unknown) => error,
  );
  expect(stopped).toMatchObject({ message: "stopped" });
  expect(readdirSync(directory)).toEqual([]);
  expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(directory);
});

describe("createChrootRoot() says what is wrong with", () => {
  const directory = temporaryDirectory("store");

  test("an archive that can't be reached", async () => {
    const error = await problemOf({ directory, suite, mirror: "http://127.0.0.1:1/debian" });
    expect(error).toMatchObject({ code: "failed", hint: expect.stringContaining("--mirror") as string });
    expect(error.message).toContain("127.0.0.1:1");
  });

  test("a suite that isn't there", async () => {
    const error = await problemOf({ directory, suite: "no-such-suite" });
    expect(error.message).toContain("no-such-suite Release' does not have a Release file");
    expect(error.hint).toContain("--suite");
  });

  test("sources: none, none in the file, together with a mirror", async () => {
    const empty = join(temporaryDirectory("sources"), "sources.list");
    writeFileSync(empty, "# nothing\n");
    expect(await problemOf({ directory, suite, sources: "/nonexistent" })).toMatchObject({ code: "not-found" });
    expect(await problemOf({ directory, suite, sources: empty })).toMatchObject({ code: "config" });
    expect(await problemOf({ directory, suite, sources: empty, mirror: "http://a" })).toMatchObject({ code: "usage" });
  });

  test("names that would be options", async () => {
    expect(await problemOf({ directory, suite: "--help" })).toMatchObject({ code: "usage" });
    expect(await problemOf({ directory, suite, include: ["--x"] })).toMatchObject({ code: "usage" });
    expect(await problemOf({ directory, suite, mirror: "not a uri" })).toMatchObject({ code: "usage" });
    expect(readdirSync(directory)).toEqual([]);
  });
});
