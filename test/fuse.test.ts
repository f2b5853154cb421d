// src/fuse against the kernel: a server in one process, who looks at it in another.
import { describe, expect, test } from "bun:test";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "./support/directories.ts";
import { run } from "./support/fallthru.ts";
import { client, clientScript, serveNew, tryClient } from "./support/fuse.ts";

/** System calls for client scripts, by number: no shell makes them. */
const calls = `
  const { native, cString, lastErrno } = await import("./src/kernel/libc.ts".replace("./", process.env.PWD + "/"));
`;

describe("serve()", () => {
  test("makes, reads, renames and deletes what a shell asks for", async () => {
    await using server = await serveNew();
    const script = `
      echo one >file; cat file; mkdir -p dir/sub; mv file dir/sub/moved; ln dir/sub/moved hard; ln -s dir/sub/moved soft
      cat soft; stat -c '%h %a %F' hard dir soft; mkfifo -m 600 pipe; stat -c %F pipe; mknod -m 600 device c 5 513
      stat -c '%t %T' device; echo two >>hard; cat dir/sub/moved; truncate -s 2 hard; cat hard; echo; ls; rm hard dir/sub/moved
      rmdir dir/sub; rmdir missing 2>&1 || true; touch dir/x; rmdir dir 2>&1 || true; rm -r dir; ls`;
    expect((await client(server, script)).split("\n")).toEqual([
      "one",
      "one",
      "2 644 regular file",
      "3 755 directory",
      "1 777 symbolic link",
      "fifo",
      "5 201",
      "one",
      "two",
      "on",
      "device",
      "dir",
      "hard",
      "pipe",
      "soft",
      "rmdir: failed to remove 'missing': No such file or directory",
      "rmdir: failed to remove 'dir': Directory not empty",
      "device",
      "pipe",
      "soft",
      "",
    ]);
  });

  test("carries names of 255 bytes, of any bytes, and files of more than one request", async () => {
    await using server = await serveNew();
    const script = `
      long=$(printf '%255s' | tr ' ' n); echo long >$long; cat $long; odd=$(printf 'a\\377\\001\\nb'); echo odd >"$odd"
      ls -b; cat "$odd"; head -c 5000000 /dev/urandom >../random; cp ../random big; cmp ../random big && echo same
      dd if=big bs=1M skip=3 count=1 status=none | cmp - ../random --ignore-initial=0:3145728 --bytes=1048576 && echo same`;
    const lines = (await client(server, script)).split("\n");
    expect(lines).toEqual(["long", "a\\377\\001\\nb", "n".repeat(255), "odd", "same", "same", ""]);
  });

  test("answers with the owner, times, umask and extended attributes that were set", async () => {
    await using server = await serveNew({ mount: { allowOther: true, defaultPermissions: true } });
    const script = `
      chmod 777 .; setpriv --reuid 1234 --regid 5678 --clear-groups sh -c 'umask 027; echo >file; mkdir dir'
      stat -c '%u %g %a' file dir; touch -d '1961-02-03 04:05:06.789012345Z' file; TZ=UTC stat -c '%y' file
      TZ=UTC stat -c '%w' file; chown 1:2 file; chmod 4755 file; stat -c '%u %g %a' file
      setfattr -n user.one -v 1 file; setfattr -n user.two -v 0x00ff file; getfattr -d -e hex file
      setfattr -x user.one file; getfattr -d -e hex file; getfattr -n user.one file 2>&1 || true
      setpriv --reuid 1234 --clear-groups cat file 2>&1 && setpriv --reuid 9 --clear-groups sh -c 'echo >file' 2>&1 || true`;
    expect((await client(server, script)).split("\n").filter((line) => line !== "")).toEqual([
      "1234 5678 640",
      "1234 5678 750",
      "1961-02-03 04:05:06.789012345 +0000",
      "1970-01-01 03:25:45.000000678 +0000",
      "1 2 4755",
      "# file: file",
      "user.one=0x31",
      "user.two=0x00ff",
      "# file: file",
      "user.two=0x00ff",
      "file: user.one: No such attribute",
      "sh: 1: cannot create file: Permission denied",
    ]);
  });

  test("tells names that come and go while a directory of 3,000 is read", async () => {
    await using server = await serveNew();
    const script = `
      mkdir d; cd d; seq -f 'n%g' 3000 | xargs touch; ls | wc -l; ls -l | wc -l; find . -type f | wc -l
      rm n1?00 n2?; ls -f | sort | uniq -d; ls | wc -l; cd ..; rm -r d; ls`;
    expect(await client(server, script)).toBe("3000\n3001\n3000\n2980\n");
  });

  test("takes renameat2's flags, O_TMPFILE, SEEK_HOLE, fallocate and copy_file_range", async () => {
    await using server = await serveNew();
    const output = await clientScript(
      server,
      `${calls}
      const { writeFileSync: write, readFileSync: read, openSync, statSync, closeSync, writeSync } = require("node:fs");
      const call = (name, types, ...values) => {
        const result = Number(native(name, /seek|copy/.test(name) ? "long" : "int", types)(...values.map((v) => (typeof v === "string" ? cString(v) : v))));
        return result === -1 ? -lastErrno() : result;
      };
      write("a", "A"); write("b", "B");
      const rename = (flags) => call("renameat2", ["int", "void *", "int", "void *", "int"], -100, "a", -100, "b", flags);
      console.log(rename(1), rename(2), String(read("a")), String(read("b")), rename(4), rename(0));
      const fd = openSync(".", 0o20200002, 0o600);
      writeSync(fd, "unnamed");
      console.log(statSync("/proc/self/fd/" + fd).nlink);
      console.log(call("linkat", ["int", "void *", "int", "void *", "int"], -100, "/proc/self/fd/" + fd, -100, "named", 0x400));
      console.log(String(read("named")), statSync("named").nlink);
      const seek = (offset, whence) => call("lseek", ["int", "int64_t", "int"], fd, offset, whence);
      console.log(seek(3, 3), seek(3, 4), seek(100, 3));
      console.log(call("fallocate", ["int", "int", "int64_t", "int64_t"], fd, 0, 0, 5000), statSync("named").size);
      console.log(call("fallocate", ["int", "int", "int64_t", "int64_t"], fd, 3, 0, 5000));
      const to = openSync("copy", "w+");
      const copy = ["int", "void *", "int", "void *", "size_t", "int"];
      seek(0, 0);
      console.log(call("copy_file_range", copy, fd, null, to, null, 7, 0), String(read("copy")));`,
    );
    expect(output.trimEnd().split("\n")).toEqual([
      "-17 0 B A -22 0",
      "0",
      "0",
      "unnamed 1",
      "3 7 -6",
      "0 5000",
      "-95",
      "7 unnamed",
    ]);
  });

  test("waits for locks without holding up others, and lets go of who is interrupted", async () => {
    await using server = await serveNew();
    const script = `
      echo x >file; exec 9<>file; flock 9; flock -n file echo no || echo taken
      (flock file echo second) & waiting=$!; sleep 0.2; cat file; kill -0 $waiting && echo waits; flock -u 9; wait $waiting
      flock 9; flock -w 0.2 file echo never || echo interrupted; cat file`;
    expect((await client(server, script)).split("\n")).toEqual([
      "taken",
      "x",
      "waits",
      "second",
      "interrupted",
      "x",
      "",
    ]);
  });

  test("ends when the file system is unmounted, and every request before that was answered", async () => {
    await using server = await serveNew();
    await client(server, "echo x >file; cd /; umount $OLDPWD");
    await server.line(/^unmounted$/);
  });

  test("says EIO for a method that throws something else than an errno, and goes on", async () => {
    await using server = await serveNew();
    const result = await tryClient(server, "setfattr -n user.order -v nonsense . || cat . || echo >file && cat file");
    expect(result.status).toBe(0);
    expect(result.stderr).toContain("Input/output error");
  });
});

describe("serve() where the disk is full", () => {
  test("tries once more what found no room, before it says so", async () => {
    await using server = await serveNew();
    expect(await client(server, "mkdir full-once; ls; LC_ALL=C mkdir full 2>&1 || ls")).toBe(
      "full-once\nmkdir: cannot create directory 'full': No space left on device\nfull-once\n",
    );
  });
});

describe("connection", () => {
  test("passes reads, writes and mappings through to a backing file", async () => {
    const backing = join(temporaryDirectory("backing"), "file");
    writeFileSync(backing, "what the backing file holds\n");
    const features = { PASSTHROUGH: true };
    await using server = await serveNew({ backing, files: { through: "x".repeat(28) }, serve: { features } });
    expect(JSON.parse(await server.line(/^\{/))).toHaveProperty("features", expect.arrayContaining(["PASSTHROUGH"]));
    expect(await client(server, "cat through; printf WHAT | dd of=through conv=notrunc status=none; cat through")).toBe(
      "what the backing file holds\nWHAT the backing file holds\n",
    );
    expect(readFileSync(backing, "utf8")).toBe("WHAT the backing file holds\n");
  });

  test("serves by a clone of the device too", async () => {
    await using server = await serveNew({ clone: true });
    expect(await client(server, "echo x >file; cat file; ls")).toBe("x\nfile\n");
  });

  test("invalidates cached data, attributes and names on notice", async () => {
    const serve = { entryTimeoutMs: 1e9, attrTimeoutMs: 1e9 };
    const files = { order: "", file: "old" };
    await using server = await serveNew({ files, serve });
    const order = (value: object): string => `setfattr -n user.order -v '${JSON.stringify(value)}' order`;
    const script = `
      cat file; echo; ${order({ write: ["file", "newer"] })}; stat -c %s file
      ${order({ notify: { kind: "invalidate-inode", nodeid: 3, offset: -1, length: 0 } })}; stat -c %s file; cat file; echo
      ${order({ unlink: "file" })}; test -e file && echo there
      ${order({ notify: { kind: "invalidate-entry", parent: 1, name: "file" } })}; test -e file || echo gone
      ${order({ notify: { kind: "invalidate-entry", parent: 1, name: "none" } })}
      ${order({ notify: { kind: "store", nodeid: 2, offset: 0, data: "" } })}
      ${order({ notify: { kind: "increment-epoch" } })}`;
    expect(await client(server, script)).toBe("old\n3\n5\nnewer\nthere\ngone\n");
  });
});

describe("without privilege", () => {
  test("mounts and serves in a user name space of its own", async () => {
    const directory = temporaryDirectory("unprivileged");
    chmodSync(directory, 0o777);
    // Debian's udev gives /dev/fuse to everybody; other machines don't.
    const device = join(directory, "device");
    await run(["mknod", "-m", "666", device, "c", "10", "229"]);
    await run(["mount", "--bind", device, "/dev/fuse"]);
    const script = `
      mkdir '${directory}/mnt'; '${process.execPath}' test/fixtures/fuse-server.ts '{"mountPoint":"${directory}/mnt"}' &
      until grep -q ' ${directory}/mnt fuse.memory ' /proc/self/mounts; do sleep 0.05; done
      cd '${directory}/mnt'; echo hello >file; cat file; stat -c %u file; grep -c fuse.memory /proc/1/mounts || true
      cd /; umount '${directory}/mnt'; wait`;
    const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", script];
    const { status, stdout, stderr } = await run([...nobody, ...unshare], { timeoutMs: 60_000 });
    await run(["umount", "/dev/fuse"]);
    expect(stderr).toBe("");
    expect(stdout.split("\n").filter((line) => !line.startsWith("{"))).toEqual([
      "ready",
      "hello",
      "0",
      "0",
      "unmounted",
      "",
    ]);
    expect(status).toBe(0);
  });
});
