// `doctor --probe`: the built program has the probes with it. What they say is tested in test/conformance.
import { expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";

for (const system of ["plain", "overlay-best", "fallthru"]) {
  test(`the program runs probes of ${system} by itself`, async () => {
    const names = [
      "identity: a file keeps its inode over writing",
      "inotify: a watched file from below that is written",
    ];
    const spaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const script = `printf '${names.join("\\n")}' | '${executable}' probe-worker ${system} '${temporaryDirectory("probe")}'`;
    const { status, stdout, stderr } = await run([...spaces, "sh", "-c", script], { timeoutMs: 60_000 });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const said = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { kind: string; wrong?: string });
    expect(said.map(({ kind }) => kind)).toEqual(["begin", "end", "begin", "end"]);
    expect(said.filter(({ wrong }) => wrong !== undefined)).toEqual([]);
  });
}

test("doctor says that the state directory can't be written to, and nothing of overlayfs", async () => {
  const script = `mkdir -p "$0" && mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec ${executable} doctor`;
  const { stdout, status } = await run(["unshare", "--mount", "sh", "-c", script, "/var/lib/fallthru"]);
  expect(stdout).toMatch(/^missing +state +\/var\/lib\/fallthru can't be written to$/m);
  expect(stdout).not.toContain("modprobe overlay");
  expect(status).not.toBe(0);
});

test("doctor --probe needs root, and a directory that is there", async () => {
  expect((await fallthru(["doctor", "--probe", "/missing"])).status).not.toBe(0);
  const directory = temporaryDirectory("probe");
  chmodSync(directory, 0o777);
  const asUser = [
    "setpriv",
    "--reuid=1001",
    "--regid=1001",
    "--clear-groups",
    executable,
    "doctor",
    "--probe",
    directory,
  ];
  expect((await run(asUser)).stderr).toContain("run it as root");
});
