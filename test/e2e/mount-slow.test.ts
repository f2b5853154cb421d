// A lower that doesn't answer keeps only those waiting who ask for what it doesn't answer.
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../support/directories.ts";
import { fallthru, run, type RunResult } from "../support/fallthru.ts";
import { serveNew } from "../support/fuse.ts";
import { standIn } from "../support/standing.ts";

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
    await using standing = standIn(join(target, "dir"));

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
    await standing.leave();
    expect(await run(["umount", target])).toMatchObject({ status: 0, stderr: "" });
  },
);

test.each(["on", "off"])(
  "a listing, a link, attributes and a copy-up that hang keep only those who ask waiting: passthrough=%s",
  async (mode) => {
    const directory = temporaryDirectory("union");
    for (const name of ["local/dir", "local/stuck-dir", "upper", "work", "target"])
      mkdirSync(join(directory, name), { recursive: true });
    writeFileSync(join(directory, "local/dir/file"), "local\n");
    const files = { stuck: "never read\n", "stuck-attributes": "a\n", far: "far\n", other: "o\n", third: "3\n" };
    await using remote = await serveNew({ files, hang: "calls", serve: { entryTimeoutMs: 0, attrTimeoutMs: 0 } });
    const lowers = `${directory}/local:${remote.mountPoint}`;
    const options = `lowerdir=${lowers},upperdir=${directory}/upper,workdir=${directory}/work,passthrough=${mode}`;
    const target = join(directory, "target");
    expect(await fallthru(["mount", "-o", options, target])).toMatchObject({ status: 0, stderr: "" });
    await using standing = standIn(join(target, "dir"));

    // Nothing that has Linux lock the directory itself.
    const hang: readonly [string, RegExp][] = [
      ["ls -U stuck-dir", /^stuck-dir$/],
      ["stat stuck-dir", /^stuck-dir$/],
      ["readlink stuck-link", /^stuck-link$/],
      ["getfattr -n user.x stuck-attributes", /^stuck-attributes$/],
      ["chmod 600 stuck-attributes", /^stuck-attributes$/],
      ["sh -c 'echo more >>stuck'", /^stuck$/],
    ];
    const hanging: Promise<RunResult>[] = [];
    for (const [script, asked] of hang) {
      hanging.push(inside(target, `exec timeout -s KILL 6 ${script}`));
      await remote.line(asked);
    }
    const work = `
    for i in 1 2 3; do
      test "$(ls dir) $(cat dir/file)" = "file local"; ls . >/dev/null; test "$(readlink far-link)" = far
      ls -U far-dir; stat -c %h far-dir >/dev/null; test -z "$(getfattr -d -m - far 2>/dev/null)"
      echo $i >>far; chmod 60$i other; mkdir far-dir/$i; mv third third$i; mv third$i third
    done
    stat -c %a other; cat far third; ls far-dir; rm -r far-dir; test ! -e far-dir`;
    expect(await inside(target, work)).toMatchObject({
      status: 0,
      stdout: ["1", "1", "2", "603", "far", "1", "2", "3", "3", "1", "2", "3", ""].join("\n"),
      stderr: "",
    });
    for (const result of await Promise.all(hanging)) expect(result).toMatchObject({ signal: "SIGKILL", stdout: "" });

    await remote.kill();
    expect(await inside(target, "cat dir/file")).toMatchObject({ status: 0, stdout: "local\n" });
    await standing.leave();
    expect(await run(["umount", target])).toMatchObject({ status: 0, stderr: "" });
    // What nobody waited for any more is gone.
    expect(readdirSync(join(directory, "work/work"))).toEqual(["#whiteout"]);
  },
);

test.each(["on", "off"])(
  "what is asked ahead shows and copies up the same as what isn't: passthrough=%s",
  async (mode) => {
    const directory = temporaryDirectory("union");
    for (const name of ["lower", "far", "upper1", "upper2", "near-target", "far-target"])
      mkdirSync(join(directory, name));
    const make = `
    mkdir -p d/e/f g empty; for i in $(seq 300); do echo $i >d/n$i; done; printf data >d/e/f/deep; ln d/e/f/deep d/hard
    truncate -s 3M d/sparse; printf x | dd of=d/sparse bs=1 seek=2000000 conv=notrunc status=none; ln -s d/e link
    mkfifo fifo; mknod null c 1 3; printf p >program; setcap cap_net_raw+ep program; chmod 4751 d/n1; chown 5:6 d/n2 g
    setfattr -n user.x -v y d/n3 d/e; setfacl -m u:7:rw d/n4; setfacl -d -m u:8:r g; touch -d @1000.5 d/n5 d/e link -h`;
    expect(await inside(join(directory, "lower"), `${make}\ntouch .`)).toMatchObject({ status: 0, stderr: "" });
    const mounts = [
      `lowerdir=${directory}/lower|far`,
      `lowerdir=${directory}/lower,upperdir=${directory}/upper1,passthrough=${mode}|near-target`,
      `lowerdir=${directory}/far,upperdir=${directory}/upper2,passthrough=${mode}|far-target`,
    ];
    for (const [options = "", target = ""] of mounts.map((each) => each.split("|"))) {
      expect(await fallthru(["mount", "-o", options, join(directory, target)])).toMatchObject({
        status: 0,
        stderr: "",
      });
    }
    const change = `
    chmod 600 d/n7; chown 9:9 d/hard; echo more >>d/e/f/deep; echo more >>d/n3; : >d/n8; truncate -s 2 d/n9; printf y >>d/sparse
    setfattr -n user.z -v w d/e g; setfattr -x user.x d/n3; ln d/n10 d/linked; mv d/n11 g/; mv d/e g/moved; mv fifo pipe
    rm d/n12; rm -r empty; touch -hd @5 link; echo new >g/new; mkdir d/made; chmod 700 .; mv -T d/made g/moved/made
    rmdir g/moved || echo full; printf z >>program; chmod 644 null; cp --preserve=all -r g copied`;
    const show = `
    find . ! -type d -printf '%P %y %m %U %G %n %s %l\\n' | sort; find . ! -newer '${directory}/lower' -printf '%P %T@\\n' | sort
    find . -type d -printf '%P %m %U %G %n\\n' | sort; test "$(stat -c %b d/sparse)" -lt 100 && echo sparse; find . -type f -print0 | sort -z | xargs -0 md5sum; ls d | wc -l
    find . -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex`;
    const outcomes = [];
    for (const target of ["near-target", "far-target"]) {
      const changed = await inside(join(directory, target), `exec 2>/dev/null\n${change}`);
      outcomes.push([changed.stdout, changed.status, (await inside(join(directory, target), show)).stdout]);
    }
    expect(outcomes[1]).toEqual(outcomes[0] as never);
    expect(outcomes[0]?.[0]).toBe("full\n");
    for (const target of ["far-target", "near-target", "far"])
      expect(await run(["umount", join(directory, target)])).toMatchObject({ status: 0, stderr: "" });
  },
);
