// A lower that doesn't answer keeps only those waiting who ask for what it doesn't answer.
import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../support/directories.ts";
import { fallthru, run, type RunResult } from "../support/fallthru.ts";
import { serveNew } from "../support/fuse.ts";

/** Runs a shell script in a directory. */
function inside(directory: string, script: string): Promise<RunResult> {
  return run(["sh", "-euc", `cd '${directory}'\n${script}`], { timeoutMs: 60_000 });
}

test.each(["on", "off"])(
  "what hangs of a FUSE lower keeps only those who ask it waiting: passthrough=%s",
  async (mode) => {
    const directory = temporaryDirectory("union");
    for (const name of ["local/dir", "upper", "work", "target"]) mkdirSync(join(directory, name), { recursive: true });
    writeFileSync(join(directory, "local/dir/file"), "local\n");
    const files = { stuck: "never read\n", near: "near\n", far: "far\n" };
    // Nothing of it is in the kernel's caches: each look asks the server.
    await using remote = await serveNew({ files, hang: "one", serve: { entryTimeoutMs: 0, attrTimeoutMs: 0 } });
    const lowers = `${directory}/local:${remote.mountPoint}`;
    const options = `lowerdir=${lowers},upperdir=${directory}/upper,workdir=${directory}/work,passthrough=${mode}`;
    const target = join(directory, "target");
    expect(await fallthru(["mount", "-o", options, target])).toMatchObject({ status: 0, stderr: "" });

    const hanging = ["cat stuck", "cat stuck", "stat lost", "cat lost/x", "test -e lost"].map((script) =>
      inside(target, `exec timeout -s KILL 4 ${script}`),
    );
    await remote.line(/^stuck$/);
    await remote.line(/^lost$/);
    // Not in the directory itself: Linux locks it while a name is looked up in it.
    const work = `
    for i in 1 2 3; do
      test "$(cat dir/file far)" = "$(printf 'local\\nfar')"
      test -z "$(ls no-such-name 2>/dev/null)"
      echo $i >>near; echo $i >dir/new; ls >/dev/null; ls -l near far dir >/dev/null; mv dir/new dir/other; rm dir/other
    done
    chmod 600 far; tail -n1 near; stat -c %a far`;
    expect(await inside(target, work)).toMatchObject({ status: 0, stdout: "3\n600\n", stderr: "" });
    for (const result of await Promise.all(hanging)) expect(result).toMatchObject({ signal: "SIGKILL", stdout: "" });

    await remote.kill();
    expect(await inside(target, "cat dir/file")).toMatchObject({ status: 0, stdout: "local\n" });
    expect(await run(["umount", target])).toMatchObject({ status: 0, stderr: "" });
  },
);
