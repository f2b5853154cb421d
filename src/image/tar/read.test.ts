import { describe, expect, test } from "bun:test";
import { craftArchive, type CraftedEntry, craftEntry, craftPax } from "../../../test/support/tarball.ts";
import { UserError } from "../../error.ts";
import type { TarHeader } from "./entry.ts";
import { readTar } from "./read.ts";

interface Read {
  readonly header: TarHeader;
  readonly pieces: readonly { offset: number; text: string }[];
}

/** Fed in chunks of this size, so that headers and contents are cut at every place. */
async function* chunks(archive: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < archive.length; at += size) yield archive.subarray(at, at + size);
}

async function read(archive: Buffer, chunkSize = 1 << 16): Promise<Read[]> {
  const found: Read[] = [];
  for await (const { header, body } of readTar(chunks(archive, chunkSize), "a.tar")) {
    const pieces = [];
    for await (const { offset, data } of body) pieces.push({ offset, text: data.toString("latin1") });
    found.push({ header, pieces });
  }
  return found;
}

async function readOne(...parts: readonly (Buffer | CraftedEntry)[]): Promise<Read> {
  const [first, ...others] = await read(craftArchive(...parts));
  expect(others).toEqual([]);
  if (first === undefined) throw new Error("no entry");
  return first;
}

async function problemOf(archive: Buffer): Promise<string> {
  try {
    await read(archive);
  } catch (error) {
    if (error instanceof UserError && error.code === "data") return error.message;
    throw error;
  }
  return "none";
}

describe("readTar()", () => {
  test("gives the same entries whatever the chunks are cut into", async () => {
    const archive = craftArchive(
      { name: "a", body: "x".repeat(700) },
      { name: "d/", type: "5" },
      { name: "b", body: "y" },
    );
    const join = (entries: Read[]) =>
      entries.map(({ header, pieces }) => [header, pieces.map(({ text }) => text).join("")]);
    const whole = join(await read(archive));
    for (const size of [1, 3, 511, 512, 513, 1000]) expect(join(await read(archive, size))).toEqual(whole);
  });

  test("passes over contents that nobody reads", async () => {
    const archive = craftArchive({ name: "a", body: "x".repeat(700) }, { name: "b" });
    const names: string[] = [];
    for await (const { header } of readTar(chunks(archive, 100), "a.tar")) names.push(header.name.toString());
    expect(names).toEqual(["a", "b"]);
  });

  test("keeps the bytes of names", async () => {
    const name = Buffer.from([0x66, 0xff, 0xfe, 0x0a, 0x5c]);
    expect((await readOne({ name })).header.name).toEqual(name);
    expect((await readOne(craftPax({ path: name }), {})).header.name).toEqual(name);
  });

  test("joins ustar's prefix, but takes GNU's times at that place for what they are", async () => {
    const patch = (header: Buffer) => void header.write("some/prefix", 345);
    expect((await readOne({ name: "n", patch })).header.name.toString()).toBe("some/prefix/n");
    expect((await readOne({ name: "n", patch, format: "gnu" })).header.name.toString()).toBe("n");
  });

  test("reads v7's directories by their slash", async () => {
    expect((await readOne({ name: "d/", format: "v7", type: "\0" })).header.kind).toBe("directory");
  });

  test("reads GNU's long names and links", async () => {
    const long = "l".repeat(300);
    const { header } = await readOne(
      craftEntry({ type: "L", body: `${long}\0`, format: "gnu" }),
      craftEntry({ type: "K", body: `${long}2\0`, format: "gnu" }),
      { type: "2", format: "gnu" },
    );
    expect([header.name.toString(), header.linkName.toString()]).toEqual([long, `${long}2`]);
  });

  test("reads binary numbers, negative times too", async () => {
    const binary = (value: bigint, start: number, length: number) => (header: Buffer) => {
      const bytes = BigInt.asUintN(length * 8, value) | (value < 0n ? 0n : 1n << BigInt(length * 8 - 1));
      header.write(bytes.toString(16).padStart(length * 2, "0"), start, "hex");
    };
    expect((await readOne({ patch: binary(-5n, 136, 12), format: "gnu" })).header.mtimeNs).toBe(-5_000_000_000n);
    expect((await readOne({ patch: binary(4_000_000_000n, 108, 8), format: "gnu" })).header.uid).toBe(4_000_000_000);
    expect(await problemOf(craftArchive({ patch: binary(1n << 60n, 124, 12), format: "gnu" }))).toContain(
      "has a bad size",
    );
  });

  test("lets extended headers say size, owner, time and names; own ones over global ones", async () => {
    const global = craftPax({ uid: "7", gid: "8", mtime: "1.5" }, "g");
    const own = craftPax({ uid: "70000000", mtime: "-0.000000001", path: "p", size: "3" });
    const [first, second] = await read(craftArchive(global, own, craftEntry({ body: "abc", size: 0 }), { name: "q" }));
    expect(first?.header).toMatchObject({ uid: 70_000_000, gid: 8, mtimeNs: -1n, size: 3, name: Buffer.from("p") });
    expect(first?.pieces).toEqual([{ offset: 0, text: "abc" }]);
    expect(second?.header).toMatchObject({ uid: 7, gid: 8, mtimeNs: 1_500_000_000n, name: Buffer.from("q") });
  });

  test("an empty value takes a global one back", async () => {
    const { header } = await readOne(craftPax({ uid: "7" }, "g"), craftPax({ uid: "" }), { uid: 9 });
    expect(header.uid).toBe(9);
  });

  test("decodes both spellings of extended attributes, also with newlines, zeros and nothing in them", async () => {
    const { header } = await readOne(
      craftPax({
        "SCHILY.xattr.user.a%3Db%25": Buffer.from([0, 10, 61, 255]),
        "SCHILY.xattr.user.none": "",
        "LIBARCHIVE.xattr.user.l%20m": Buffer.from("value").toString("base64").replace(/=/g, ""),
        "LIBARCHIVE.xattr.user.none": "eA",
      }),
      {},
    );
    expect(header.xattrs.map(({ name, value }) => [name.toString(), value])).toEqual([
      ["user.a=b%", Buffer.from([0, 10, 61, 255])],
      ["user.none", Buffer.alloc(0)],
      ["user.l m", Buffer.from("value")],
    ]);
  });

  test("takes sizes of links and devices for nothing, unless pax lets a hard link carry its content", async () => {
    const symlink = craftEntry({ type: "2", linkName: "x", size: 5 });
    expect(await read(craftArchive(symlink, {}))).toHaveLength(2);
    expect(await read(craftArchive({ type: "1", linkName: "x", size: 5 }, {}))).toHaveLength(2);
    const filled = craftEntry({ type: "1", linkName: "x", body: "again" });
    expect(await read(craftArchive(craftPax({ comment: "c" }), filled, {}))).toHaveLength(2);
  });

  test("goes on past a volume label and stops at the end mark", async () => {
    const archive = Buffer.concat([craftArchive({ type: "V", name: "label" }, {}), craftEntry({ name: "behind" })]);
    expect(await read(archive)).toHaveLength(1);
  });
});

test("readTar() needs no more memory for a large file than for a small one", async () => {
  const size = 2 ** 31;
  const chunk = Buffer.alloc(1 << 20, 1);
  async function* large(): AsyncGenerator<Buffer> {
    yield craftEntry({ size });
    for (let done = 0; done < size; done += chunk.length) yield chunk;
    yield Buffer.alloc(1024);
  }
  const before = process.memoryUsage().rss;
  let sum = 0;
  for await (const { body } of readTar(large(), "a.tar")) for await (const { data } of body) sum += data.length;
  expect(sum).toBe(size);
  expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
});

describe("readTar() of sparse files", () => {
  const body = "aaabb";
  const pieces = [
    { offset: 10, text: "aaa" },
    { offset: 100, text: "bb" },
  ];
  const expected = {
    size: 1000,
    sparse: [
      { offset: 10, length: 3 },
      { offset: 100, length: 2 },
      { offset: 1000, length: 0 },
    ],
  };

  test("reads GNU's own format, with an extension block", async () => {
    const octal = (value: number) => `${value.toString(8).padStart(11, "0")}\0`;
    const patch = (header: Buffer) => {
      header.write(octal(10) + octal(3) + octal(100) + octal(2), 386, "latin1");
      header.write(octal(200) + octal(0) + octal(300) + octal(0), 386 + 48, "latin1");
      header[482] = 1;
      header.write(octal(1000), 483, "latin1");
    };
    const extension = Buffer.alloc(512);
    extension.write(octal(1000) + octal(0), 0, "latin1");
    const header = craftEntry({ type: "S", format: "gnu", patch, size: 5 });
    const content = Buffer.alloc(512);
    content.write(body);
    const [first, second] = await read(craftArchive(header, extension, content, { name: "next" }));
    expect(first?.header.size).toBe(1000);
    expect(first?.pieces).toEqual(pieces);
    expect(second?.header.name.toString()).toBe("next");
  });

  test("reads pax 0.1 and 1.0, and takes the name that is meant", async () => {
    const named = { "GNU.sparse.name": "real" };
    const map = craftPax({ ...named, "GNU.sparse.size": "1000", "GNU.sparse.map": "10,3,100,2,1000,0" });
    const first = await readOne(map, { body });
    const version = craftPax({
      ...named,
      "GNU.sparse.major": "1",
      "GNU.sparse.minor": "0",
      "GNU.sparse.realsize": "1000",
    });
    const second = await readOne(version, {
      body: Buffer.concat([Buffer.from("3\n10\n3\n100\n2\n1000\n0\n".padEnd(512, "\0")), Buffer.from(body)]),
    });
    for (const { header, pieces: found } of [first, second]) {
      expect(header).toMatchObject({ ...expected, name: Buffer.from("real") });
      expect(found).toEqual(pieces);
    }
  });

  test("refuses maps that overlap, lie outside, or are longer than what is stored", async () => {
    const withMap = (map: string) =>
      craftArchive(craftPax({ "GNU.sparse.size": "1000", "GNU.sparse.map": map }), { body });
    for (const map of ["100,3,10,2", "0,3,2,2", "0,3,999,2", "0,3,10,3", "0,3,10", "0,3,x,2", "0,5,-1,0"]) {
      expect([map, await problemOf(withMap(map))]).toEqual([
        map,
        "a.tar is malformed: the entry file (at byte 1024) has a bad sparse map",
      ]);
    }
    const huge = craftPax({ "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" });
    expect(await problemOf(craftArchive(huge, { body: "99999999999\n".padEnd(512, "1\n") }))).toContain(
      "has a bad sparse map",
    );
  });
});

describe("readTar() refuses", () => {
  const whole = craftArchive({ name: "dir/a", body: "x".repeat(600) }, { name: "b" });

  test("what is cut off, at every block, saying where", async () => {
    expect(await problemOf(Buffer.alloc(0))).toBe("a.tar is empty");
    expect(await problemOf(whole.subarray(0, 100))).toBe("a.tar is cut off: at byte 0 it ends within a header");
    expect(await problemOf(whole.subarray(0, 1000))).toBe("a.tar is malformed: the entry dir/a (at byte 0) is cut off");
    expect(await problemOf(whole.subarray(0, 1536))).toBe(
      "a.tar is cut off: at byte 1536 it lacks the mark that ends an archive",
    );
    expect(await problemOf(whole.subarray(0, 2048))).toContain("lacks the mark");
    expect(await problemOf(whole.subarray(0, 2560))).toBe("none");
  });

  test("any changed byte of a header", async () => {
    for (let at = 0; at < 512; at += 7) {
      const bad = Buffer.from(whole);
      bad[1536 + at] = (bad[1536 + at] ?? 0) ^ 0x41;
      expect(await problemOf(bad)).toContain("at byte 1536");
    }
  });

  test("what isn't a tar archive", async () => {
    expect(await problemOf(Buffer.from("hello ".repeat(500)))).toBe(
      "a.tar is not a tar archive: its first header has a bad checksum",
    );
  });

  test("bad extended headers, unknown types, volumes, star's sparse files, ids that mean something else", async () => {
    const pax = (body: string) => craftArchive({ type: "x", body }, {});
    for (const body of ["9 a=b\n", "x a=b\n", "6 a=b", "99 a=b\n", "6 acb\n", "0 a=b\n"]) {
      expect([body, await problemOf(pax(body))]).toEqual([
        body,
        "a.tar is malformed: the entry at byte 0 has a bad extended header",
      ]);
    }
    expect(await problemOf(craftArchive({ type: "Q" }))).toContain('is of the unknown type "Q"');
    expect(await problemOf(craftArchive({ type: "M" }))).toContain("several volumes");
    expect(await problemOf(craftArchive({ type: "S" }))).toContain("star's own format");
    expect(await problemOf(craftArchive(craftPax({ uid: "4294967295" }), {}))).toContain("has the bad owner");
    expect(await problemOf(craftArchive(craftPax({ mtime: "soon" }), {}))).toContain("has a bad mtime");
    expect(await problemOf(craftArchive(craftPax({ size: "-1" }), {}))).toContain("has a bad size");
    expect(await problemOf(craftArchive(craftPax({ path: "a\0b" }), {}))).toContain("NUL byte");
    expect(await problemOf(craftArchive({ type: "L", size: 1e9, format: "gnu" }))).toContain("too long");
  });
});
