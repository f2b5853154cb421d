import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describeChroot, temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";
import { tinyRoot } from "../support/roots.ts";
import { Terminal } from "../support/terminal.ts";

async function begin(name: string, prepare: (root: string) => void = () => {}, ...options: string[]): Promise<void> {
  const root = tinyRoot();
  writeFileSync(`${root}/etc/hosts`, "127.0.0.1 localhost\n");
  prepare(root);
  describeChroot(name, root);
  const begun = await fallthru(["begin", name, "--name", name, ...options]);
  expect([begun.stderr, begun.status]).toEqual(["", 0]);
}

async function inside(name: string, script: string): Promise<void> {
  const { stderr, status } = await fallthru(["run", `@${name}`, "--", "sh", "-ec", script]);
  expect([stderr, status]).toEqual(["", 0]);
}

async function diff(...args: string[]): Promise<string> {
  const { stdout, stderr, status } = await fallthru(["diff", ...args]);
  expect([stderr, status]).toEqual(["", 0]);
  return stdout;
}

test.each(["overlay", "fallthru"])("what is written through a mapping counts while it is mapped: %s", async (union) => {
  await begin("mapped", () => {}, "--union", union);
  const script = `
import mmap, sys
with open("/run/fallthru/mount/mapped/mapped/etc/hosts", "r+b") as file:
    mapping = mmap.mmap(file.fileno(), 0)
mapping[0:3] = b"255"
print("written", flush=True)
sys.stdin.read()`;
  const writer = spawn("python3", ["-c", script], { stdio: "pipe" });
  try {
    const [said] = (await Promise.race([once(writer.stdout, "data"), once(writer, "exit")])) as unknown[];
    expect(String(said)).toStartWith("written");
    expect(await diff("mapped", "--name-status")).toBe("M\t/etc/hosts\n");
    const forked = await fallthru(["fork", "@mapped", "--name", "copy", "--copy"]);
    expect([forked.stderr, forked.status]).toEqual(["", 0]);
    const { stdout } = await fallthru(["run", "@copy", "--", "cat", "/etc/hosts"]);
    expect(stdout).toStartWith("255.0.0.1 localhost\n");
  } finally {
    writer.stdin.end();
    if (writer.exitCode === null) await once(writer, "exit");
    await fallthru(["end", "--all"]);
  }
});

for (const union of ["overlay", "fallthru"]) {
  test(`diff lists what was changed, and nothing that begin wrote: ${union}`, async () => {
    await begin("listed", (root) => mkdirSync(`${root}/opt/old/deep`, { recursive: true }), "--union", union);
    expect(await diff("@listed")).toBe("nothing changed\n");
    expect((await fallthru(["diff", "@listed", "--exit-code"])).status).toBe(0);
    await inside(
      "listed",
      `echo x > /opt/new; rm /bin/awk; chmod 600 /bin/busybox; mv /opt/old /srv; mv /bin/ls /bin/LS
       mkdir -p /etc/cron.d; echo > /etc/cron.d/job; cp /bin/busybox /opt/su; chmod 4755 /opt/su; ln /opt/new /opt/twin
       rm -r /var; echo > /var; ln -s /nowhere "$(printf '/opt/odd\\nname')"; printf x > "$(printf '/opt/\\351')"`,
    );
    const text = await diff("listed");
    expect(text.split("\n")).toEqual(
      expect.arrayContaining([
        "A /opt/new",
        "A /opt/twin  = /opt/new",
        "D /bin/awk  link",
        "M /bin/busybox  mode 0755 -> 0600",
        "R /opt/old -> /srv",
        "R /bin/ls -> /bin/LS",
        "A /etc/cron.d/job  [runs later: cron]",
        "A /opt/su  [runs later: setuid]",
        "T /var  directory -> file",
        "D /var/tmp  directory",
        'A "/opt/\\351"',
        'A "/opt/odd\\nname"  link',
      ]),
    );
    expect((await fallthru(["diff", "@listed", "--exit-code", "--quiet"])).stdout).toBe("");
    expect((await fallthru(["diff", "@listed", "--exit-code"])).status).toBe(1);
    expect(await diff("@listed", "--name-status", "--", "/srv", "etc/cron.d")).toBe(
      "A\t/etc/cron.d\nA\t/etc/cron.d/job\nR\t/opt/old\t/srv\n",
    );
    for (const how of [["-z"], ["--name-status", "-z"]])
      expect(await diff("@listed", ...how, "/srv")).toBe("R\0/opt/old\0/srv\0");
    await fallthru(["end", "listed"]);
  });
}

test("diff opens a directory in which something was changed once on each side", async () => {
  const names = Array.from({ length: 12 }, (_, index) => `directory${index}`);
  await begin("opened", (root) => {
    for (const name of names) {
      mkdirSync(`${root}/opt/${name}`, { recursive: true });
      for (const file of ["mode", "longer", "gone", "old"]) writeFileSync(`${root}/opt/${name}/${file}`, "1\n");
    }
  });
  const changes = "chmod 600 mode; echo 2 >>longer; rm gone; echo >new; mkdir below";
  await inside("opened", `for name in ${names.join(" ")}; do cd /opt/$name; ${changes}; done`);
  const trace = `${temporaryDirectory("trace")}/trace`;
  const traced = ["strace", "-o", trace, "-e", "signal=none", "-e", "trace=openat,openat2"];
  const { stdout, stderr, status } = await run([...traced, executable, "diff", "@opened", "--name-status"]);
  expect([stderr, status]).toEqual(["", 0]);
  const lines = ["A\tbelow", "D\tgone", "M\tlonger", "M\tmode", "A\tnew"];
  const shown = names.flatMap((name) => lines.map((line) => line.replace("\t", `\t/opt/${name}/`)));
  expect(stdout.trimEnd().split("\n").toSorted()).toEqual(shown.toSorted());
  const opened = [...readFileSync(trace, "utf8").matchAll(/^openat2?\(\d+, "(?:[^"]*\/)?(directory\d+)"/gm)];
  const counts = Map.groupBy(opened, ([, name = ""]) => name);
  expect(names.map((name) => [name, counts.get(name)?.length])).toEqual(names.map((name) => [name, 2]));
  await fallthru(["end", "opened"]);
});

test("what begin wrote is no change after a recovery either, until somebody changes it", async () => {
  await begin("again");
  await inside("again", "echo mine >> /etc/services");
  const mount = "/run/fallthru/mount/again/again";
  await run(["umount", "--recursive", "--lazy", mount]);
  const refused = await fallthru(["diff", "@again"]);
  expect([refused.status, refused.stderr]).toEqual([2, expect.stringContaining("fallthru recover")]);
  expect((await fallthru(["recover"])).stdout).toContain("recovered again");
  expect(await diff("@again", "--name-status")).toBe("A\t/etc/services\n");
  await inside("again", "echo mine >> /etc/passwd");
  expect(await diff("@again", "--name-status")).toBe("M\t/etc/passwd\nA\t/etc/services\n");
  await fallthru(["end", "again"]);
});

test("diff says what the changes mean for Debian's packages", async () => {
  const stanza = (name: string, version: string, status = "install ok installed"): string =>
    `Package: ${name}\nStatus: ${status}\nArchitecture: all\nVersion: ${version}\n`;
  const before = [stanza("kept", "1"), stanza("old", "2:1.0~rc1-1"), stanza("gone", "3"), stanza("newer", "1.10")];
  const after = [
    stanza("kept", "1"),
    stanza("old", "2:1.0-1"),
    stanza("gone", "3", "deinstall ok config-files"),
    stanza("newer", "1.9"),
    stanza("cowsay", "3.03+dfsg2-8"),
  ];
  await begin("packages", (root) => {
    mkdirSync(`${root}/var/lib/dpkg`, { recursive: true });
    writeFileSync(`${root}/var/lib/dpkg/status`, before.join("\n"));
  });
  await inside("packages", `cat > /var/lib/dpkg/status <<'END'\n${after.join("\n")}END`);
  const shown = await diff("@packages");
  expect(shown).toContain(
    "\ninstalled cowsay:all 3.03+dfsg2-8\nremoved gone:all 3\ndowngraded newer:all 1.10 -> 1.9\nupgraded old:all 2:1.0~rc1-1 -> 2:1.0-1\n",
  );
  const json: unknown = JSON.parse(await diff("@packages", "--json"));
  expect(json).toMatchObject({
    id: "packages",
    changes: [{ change: "modified", path: "/var/lib/dpkg/status", after: { type: "file", mode: "0644" } }],
    packages: [{ what: "installed", name: "cowsay", to: "3.03+dfsg2-8" }, {}, {}, {}],
  });
  await fallthru(["end", "packages"]);
});

test("diff --patch names what no patch can hold, and shows no control characters to a terminal", async () => {
  await begin("patched", (root) => chmodSync(`${root}/etc/hosts`, 0o644));
  await inside(
    "patched",
    `printf '\\033[31mred\\n' >> /etc/hosts; chmod 640 /etc/hosts; cp /bin/busybox /opt.bin; chown 7:8 /opt.bin
     mkfifo /pipe`,
  );
  const patch = await diff("@patched", "--patch");
  expect(patch).toMatch(/^# \/opt\.bin: binary, 0 -> \d+ bytes, owner 7:8$/m);
  expect(patch).toContain("# /etc/hosts: mode 0640\ndiff --git a/etc/hosts b/etc/hosts\n");
  expect(patch).toContain("# /pipe: fifo\n");
  expect(patch).toContain("+\u001b[31mred\n");
  expect(await diff("@patched", "--stat")).toMatch(
    /^ \/etc\/hosts +\| +\d+ \++\n \/opt\.bin +\| +Bin 0 -> \d+ bytes$/m,
  );
  const terminal = new Terminal([executable, "diff", "@patched", "--patch"]);
  await terminal.until("+\\x1b[31mred");
  await terminal.ended;
  terminal.hangUp();
  await fallthru(["end", "patched"]);
});

test("diff names what it can't do", async () => {
  const unknown = await fallthru(["diff", "@nobody"]);
  expect([unknown.status, unknown.stderr]).toEqual([2, expect.stringContaining("no session nobody")]);
  const both = await fallthru(["diff", "@nobody", "--stat", "--patch"]);
  expect([both.status, both.stderr]).toEqual([2, expect.stringContaining("only one of")]);
});
