// What the verbs without root say where a machine forbids or lacks what they need.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { executable, run } from "../support/fallthru.ts";
import { giveTinyRoot, type Someone, someone } from "../support/someone.ts";

let anna: Someone;

beforeAll(async () => {
  anna = someone();
  await giveTinyRoot(anna);
});
afterAll(() => anna.leave());

describe("what a machine forbids or lacks", () => {
  const doctor = async (who: Someone = anna) => {
    const { stdout, status } = await who.fallthru(["doctor", "--json"]);
    const { findings } = JSON.parse(stdout) as {
      findings: { name: string; state: string; detail: string; hint?: string }[];
    };
    return { status, findings, missing: findings.filter(({ state }) => state === "missing") };
  };
  /** As the user, after root has done `script` in a mount name space of its own. */
  const after = async (script: string, args: readonly string[]) => {
    return run(["unshare", "--mount", "sh", "-c", `${script} && exec "$@"`, "sh", ...anna.words, executable, ...args], {
      directory: anna.home,
      env: { HOME: anna.home, XDG_STATE_HOME: undefined, XDG_DATA_HOME: undefined, XDG_CONFIG_HOME: undefined },
    });
  };

  test("nothing is missing here", async () => {
    const { findings, missing, status } = await doctor();
    expect([missing, status]).toEqual([[], 0]);
    expect(findings.find(({ name }) => name === "/etc/subuid")?.detail).toBe("anna has 65536 from 1000000");
    expect(existsSync(join(anna.state, "space"))).toBe(false);
  });

  test("the line of /etc/subuid and of /etc/subgid is named", async () => {
    for (const file of ["subuid", "subgid"]) {
      const { status, stderr } = await after(`mount --bind /dev/null /etc/${file}`, ["run", "tiny", "--", "true"]);
      expect(status).toBe(125);
      expect(stderr).toContain(`/etc/${file} has no line for anna\nhint: as root: usermod --add-${file}s `);
      const { stdout } = await after(`mount --bind /dev/null /etc/${file}`, ["doctor"]);
      expect(stdout).toMatch(new RegExp(`^missing +/etc/${file} +/etc/${file} has no line for anna\n`, "m"));
    }
  });

  test("the package uidmap is named", async () => {
    const hide = "mount --bind /dev/null /usr/bin/newuidmap";
    const { status, stderr } = await after(hide, ["run", "tiny", "--", "true"]);
    expect([status, stderr]).toEqual([
      125,
      "fallthru: a session without root needs newuidmap, which isn't installed\nhint: as root: apt install uidmap\n",
    ]);
    expect((await after(hide, ["doctor"])).stdout).toMatch(
      /^missing +newuidmap +not installed\n.*apt install uidmap$/m,
    );
  });

  test("newuidmap without its rights is named", async () => {
    const strip = `f=$(mktemp) && cp /usr/bin/newuidmap $f && chmod 755 $f && mount --bind $f /usr/bin/newuidmap`;
    const { status, stderr } = await after(strip, ["run", "tiny", "--", "true"]);
    expect([status, stderr]).toEqual([125, expect.stringMatching(/^fallthru: newuidmap can't map .*\nhint: .*uidmap/)]);
    expect((await after(strip, ["doctor"])).stdout).toMatch(
      /^missing +newuidmap .*neither set-user-ID root.*\n.*apt install --reinstall uidmap$/m,
    );
  });

  test("mmdebstrap is named, also where debootstrap is there, which needs root", async () => {
    const hide = "mount --bind /dev/null /usr/bin/mmdebstrap";
    expect(await after(hide, ["chroot", "create", "bookworm"])).toMatchObject({
      status: 7,
      stderr:
        "fallthru: make a root: without root that takes mmdebstrap, which isn't here\nhint: as root: apt install mmdebstrap\n",
    });
  });

  test("the setting that allows no user name spaces is named", async () => {
    const setting = "/proc/sys/user/max_user_namespaces";
    const before = readFileSync(setting, "latin1");
    const forbid = `f=$(mktemp) && chmod 644 $f && echo 0 >$f && mount --bind $f ${setting}`;
    const { status, stderr } = await after(forbid, ["doctor"]);
    expect([status, stderr]).toEqual([1, ""]);
    expect((await after(forbid, ["doctor"])).stdout).toMatch(
      /user.max_user_namespaces is 0\n.*sysctl -w user.max_user_namespaces=15000$/m,
    );
    expect(readFileSync(setting, "latin1")).toBe(before);
  });

  test("a refusal of unshare(1) is said with its reason", async () => {
    const refuse = `f=$(mktemp) && printf '#!/bin/sh\\necho "unshare: unshare failed: Operation not permitted" >&2; exit 1\\n' >$f && chmod 755 $f && mount --bind $f /usr/bin/unshare`;
    const { status, stderr } = await after(refuse, ["run", "tiny", "--", "true"]);
    expect([status, stderr.split("\n")[0]]).toEqual([
      125,
      "fallthru: a user name space can't be made: unshare: unshare failed: Operation not permitted",
    ]);
  });

  test("a pid name space needs root, or unshare(1) in the session, as is said", async () => {
    const refused = await anna.fallthru(["run", "tiny", "--pid-namespace", "--", "true"]);
    expect([refused.status, refused.stderr]).toEqual([
      125,
      expect.stringMatching(
        /^fallthru: --pid-namespace needs root\nhint: .* unshare --pid --fork --mount-proc COMMAND\n$/,
      ),
    ]);
    const command = ["busybox", "unshare", "-p", "-f", "-m", "--mount-proc", "sh", "-c", "echo $$; ls -d /proc/[0-9]*"];
    expect(await anna.fallthru(["run", "tiny", "--", ...command])).toMatchObject({
      status: 0,
      stdout: "1\n/proc/1\n",
    });
  });

  test("the verb mount needs root, also of a user name space, as is said", async () => {
    for (const name of ["lower", "upper", "work", "merged"]) await anna.run(["mkdir", name]);
    const mount = ["mount", "-o", "lowerdir=lower,upperdir=upper,workdir=work", "merged"];
    expect(await anna.fallthru(mount)).toMatchObject({
      status: 7,
      stderr: expect.stringMatching(/^fallthru: mount needs root.*\nhint: .*unshare --map-root-user --mount/),
    });
    // As udev makes it.
    const open = 'mknod "$0" c 10 229 && chmod 666 "$0" && mount --bind "$0" /dev/fuse && exec "$@"';
    const shell = `${executable} ${mount.join(" ")} && echo new >merged/file && cat upper/file && umount merged`;
    const words = [...anna.words, "unshare", "--map-root-user", "--mount", "sh", "-ec", shell];
    const device = join(anna.home, "fuse");
    expect(
      await run(["unshare", "--mount", "sh", "-c", open, device, ...words], { directory: anna.home }),
    ).toMatchObject({ status: 0, stdout: "new\n", stderr: "" });
  });
});
