import { describe, expect, test } from "bun:test";
import { execFileSync, spawnSync } from "node:child_process";
import {
  closeSync,
  createReadStream,
  ftruncateSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { temporaryDirectory } from "../../test/support/directories.ts";
import { describeTree } from "../../test/support/tree.ts";
import { isErrno } from "../kernel/error.ts";
import { openDirectory } from "../kernel/file.ts";
import { setXattrAt } from "../kernel/xattr.ts";
import { extractTar } from "./extract.ts";
import { readTar } from "./tar/read.ts";

/** What an archive becomes below a new directory. */
async function extract(archive: string): Promise<string> {
  const target = temporaryDirectory("ours");
  const input = createReadStream(archive, { highWaterMark: 100_000 });
  using root = openDirectory(target);
  await extractTar(readTar(input, "a.tar"), root, { archive: "a.tar", onWarning: (text) => expect(text).toBe("none") });
  return target;
}

/** @param kept options: without --acls it leaves those alone that came as extended attributes */
function extractWithTar(archive: string, kept: readonly string[] = []): string {
  const target = temporaryDirectory("gnu");
  const gnuOptions = ["--numeric-owner", "--preserve-permissions", "--warning=no-timestamp", ...kept];
  execFileSync("tar", [...gnuOptions, "-xf", archive, "-C", target], { stdio: ["ignore", "ignore", "inherit"] });
  return target;
}

/** GNU tar leaves out what a format can't hold, and says so with its status. */
function pack(tree: string, options: readonly string[]): string {
  const archive = `${temporaryDirectory("archive")}/a.tar`;
  spawnSync("tar", [...options, "--numeric-owner", "-cf", archive, "-C", tree, "."], { stdio: "ignore" });
  return archive;
}

/** Something of everything that an archive can hold. */
function makeTree(): string {
  const tree = temporaryDirectory("tree");
  const sh = (script: string) =>
    execFileSync("sh", ["-euc", script], { cwd: tree, stdio: ["ignore", "ignore", "inherit"] });
  sh(`
    umask 022
    mkdir -p etc usr/bin empty 'sp ace'
    cp /etc/passwd /etc/group etc/
    ln -s usr/bin bin; ln -s /etc/passwd absolute; ln -s ../../.. up; ln -s nowhere dangling
    printf 'x' >usr/bin/setuid; chown 1:2 usr/bin/setuid; chmod 4755 usr/bin/setuid
    printf '' >zero; printf 'abc' >'sp ace/t\tn'; chmod 0 zero
    head -c 100000 /dev/urandom >usr/random
    ln usr/random linked; ln usr/random usr/bin/again; ln -s etc a-link; ln a-link a-link-twice
    mknod null c 1 3; mknod block b 259 300; mknod whiteout c 0 0; mkfifo -m 620 fifo
    mkdir -m 1777 sticky; mkdir -m 2750 setgid; chown 5:6 setgid
    cp /bin/true usr/bin/cap; setcap cap_net_raw,cap_sys_admin=eip usr/bin/cap
    setfattr -n user.plain -v value zero; setfattr -n user.empty zero
    setfattr -n user.bin -v 0x000a3d00ff zero; setfattr -n 'user.a=b%c' -v 1 etc
    setfattr -n trusted.mark -v 1 a-link -h
    setfacl -m u:daemon:r,g:adm:rw,m::rwx etc/passwd; setfacl -d -m u:7:rwx sticky; setfacl -m u:bin:x sticky
    truncate -s 5M hole-only; truncate -s 1M hole-behind; printf start | dd of=hole-behind conv=notrunc status=none
    touch -d '1969-12-31 23:59:58.25' old; touch -h -d '2001-02-03 04:05:06.789012345' dangling
    touch -d '2030-01-01 00:00:00.000000001' usr/random
    chown 3000000:4000000 old
    touch -d '2011-11-11 11:11:11.111111111' usr/bin setgid sticky .
  `);
  makeSparse(`${tree}/many-holes`, 60);
  makeSparse(`${tree}/few-holes`, 3);
  writeFileSync(Buffer.concat([Buffer.from(`${tree}/latin-`), Buffer.from([0xe9, 0x80, 0xff, 0x0a])]), "bytes");
  const long = "n".repeat(200);
  mkdirSync(`${tree}/${long}/${long}/${long}`, { recursive: true });
  writeFileSync(`${tree}/${long}/${long}/${long}/${long}`, "long");
  symlinkSync(`${long}/${long}/${long}`, `${tree}/long-link`);
  using root = openDirectory(tree);
  setXattrAt(root, "old", Buffer.concat([Buffer.from("user.latin-"), Buffer.from([0xe9])]), Buffer.from("odd name"));
  setXattrAt(root, "old", "user.long", Buffer.alloc(2000, "v"));
  return tree;
}

function makeSparse(path: string, extents: number): void {
  const file = openSync(path, "w");
  for (let index = 0; index < extents; index++) writeSync(file, Buffer.alloc(4096, index + 1), 0, 4096, index * 65536);
  ftruncateSync(file, extents * 65536);
  closeSync(file);
}

describe("extractTar() gives the same tree as GNU tar from", () => {
  const tree = makeTree();
  const everything = ["--xattrs", "--xattrs-include=*", "--sparse"];
  for (const options of [
    ["--format=v7"],
    ["--format=ustar"],
    ["--format=oldgnu"],
    ["--format=gnu"],
    ["--format=gnu", "--sparse"],
    ["--format=posix", ...everything, "--sparse-version=0.0"],
    ["--format=posix", ...everything, "--sparse-version=0.1"],
    ["--format=posix", ...everything, "--sparse-version=1.0"],
    ["--format=posix", "--acls"],
  ]) {
    test(options.join(" "), async () => {
      const archive = pack(tree, options);
      const ours = await extract(archive);
      const kept = options.filter((option) => /^--(?:xattrs|acls)/.test(option));
      expect(describeTree(ours)).toEqual(describeTree(extractWithTar(archive, kept)));
    });
  }

  test("and pax archives lose nothing at all", async () => {
    const ours = await extract(pack(tree, ["--format=posix", ...everything]));
    expect(describeTree(ours)).toEqual(describeTree(tree));
  });
});

test("extractTar() agrees with GNU tar on random trees", async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const tree = makeRandomTree(seed);
    const archive = pack(tree, [`--format=${["gnu", "posix", "ustar"][seed % 3]}`]);
    expect([seed, ...describeTree(await extract(archive))]).toEqual([seed, ...describeTree(extractWithTar(archive))]);
  }
});

/** Bytes and sizes at the edges that archives have: 512-byte blocks, names of 100 and 155 bytes. */
function makeRandomTree(seed: number): string {
  const tree = temporaryDirectory("random");
  let state = seed * 2654435761;
  const random = (limit: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const pick = <T>(values: readonly T[]): T => values[random(values.length)] as T;
  const dirs = [Buffer.from(tree)];
  for (let index = 0; index < 150; index++) {
    const length = pick([1, 2, 8, 50, 97, 99, 100, 101, 150, 255]);
    const name = Buffer.from(
      Array.from({ length }, () => pick([0x61, 0x2d, 0x20, 0xff, 0x80, 0x0a, 0x5c, 0xc3, 0x25])),
    );
    const path = Buffer.concat([pick(dirs), Buffer.from("/"), name]);
    if (path.length > 3000) continue;
    try {
      if (random(4) === 0) {
        mkdirSync(path, { mode: 0o700 + random(64) });
        dirs.push(path);
      } else if (random(5) === 0) {
        symlinkSync(Buffer.alloc(pick([1, 99, 100, 101, 1000]), 0xe4), path);
      } else {
        const size = pick([0, 1, 511, 512, 513, 10_239, 10_240, 70_000]);
        writeFileSync(path, Buffer.alloc(size, random(256)), { mode: random(0o7777) });
      }
    } catch (error) {
      if (!isErrno(error, "EEXIST", "EISDIR")) throw error;
    }
  }
  return tree;
}
