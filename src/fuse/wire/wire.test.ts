// What the kernel never shows or can't be made to say: edges of numbers, times, devices, old kernels, full replies.
import { describe, expect, test } from "bun:test";
import { readCreate, readLock, readRead, readSetAttr, readWrite } from "./bodies.ts";
import { DirectoryWriter } from "./dirent.ts";
import { readOffer, writeTerms } from "./init.ts";
import { makeNotification } from "./notify.ts";
import { readSeconds, readU64, writeSeconds, writeU64 } from "./numbers.ts";
import { ReplyBuffer, unpackDevice } from "./reply.ts";
import { RequestBuffer } from "./request.ts";
import type { Attr } from "./types.ts";

/** A request whose body is filled by `fill`, in front of `extension`. */
function request(size: number, fill: (view: DataView) => void, extension = new Uint8Array(0)): RequestBuffer {
  const buffer = new RequestBuffer(4096);
  const length = 40 + size + extension.length;
  buffer.view.setUint32(0, length, true);
  buffer.view.setUint16(36, extension.length / 8, true);
  fill(new DataView(buffer.bytes.buffer, 40));
  buffer.bytes.set(extension, 40 + size);
  buffer.parseHeader(length);
  return buffer;
}

const attr: Attr = {
  ino: 2n ** 63n,
  mode: 0o60644,
  nlink: 1,
  uid: 4294967295,
  gid: 0,
  size: 2 ** 52,
  blocks: 3,
  rdevMajor: 4095,
  rdevMinor: 1048575,
  atime: -1,
  atimeNsec: 999_999_999,
  mtime: 2 ** 33,
  mtimeNsec: 1,
  ctime: 0,
  ctimeNsec: 0,
};

function reply(size = 4096): ReplyBuffer {
  return new ReplyBuffer(size, {
    entryTimeoutMs: 1500,
    attrTimeoutMs: Number.POSITIVE_INFINITY,
    negativeTimeoutMs: 250,
  });
}

describe("numbers", () => {
  test("are exact up to 2**53, and bigints up to 2**64", () => {
    const view = new DataView(new ArrayBuffer(8));
    for (const value of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
      writeU64(view, 0, value);
      expect(readU64(view, 0)).toBe(value);
    }
    writeU64(view, 0, 2n ** 64n - 1n);
    expect(view.getBigUint64(0, true)).toBe(2n ** 64n - 1n);
    for (const value of [-1, 0, -(2 ** 40), 2 ** 40, -(2 ** 32)]) {
      writeSeconds(view, 0, value);
      expect([readSeconds(view, 0), Number(view.getBigInt64(0, true))]).toEqual([value, value]);
    }
  });
});

describe("requests", () => {
  test("whose length isn't what was read are refused", () => {
    const buffer = new RequestBuffer(4096);
    buffer.view.setUint32(0, 41, true);
    expect(() => buffer.parseHeader(40)).toThrow("a request of 40 bytes says that it has 41");
    expect(() => buffer.parseHeader(8)).toThrow();
  });

  test("that are sent again have the same key", () => {
    const buffer = request(0, () => {});
    buffer.view.setBigUint64(8, 0x8000_0000_0000_1234n, true);
    buffer.parseHeader(40);
    expect([buffer.isResend, buffer.key]).toEqual([true, 0x1234]);
    expect([buffer.uniqueLow, buffer.uniqueHigh]).toEqual([0x1234, 0x8000_0000]);
  });

  test("carry the supplementary group of the caller behind their body", () => {
    const groups = new Uint8Array(Uint32Array.of(16, 32, 1, 4711).buffer);
    expect(request(8, () => {}, groups).supplementaryGroup).toBe(4711);
    expect(request(8, () => {}).supplementaryGroup).toBeUndefined();
  });

  test("name() ends at the NUL, or where the body does", () => {
    const buffer = request(4, (view) => view.setUint32(0, 0x62ff0061, true));
    expect([buffer.name(40), buffer.name(42)]).toEqual(["a", "\xffb"]);
  });

  test("setattr tells what is to change and nothing else", () => {
    expect(readSetAttr(request(88, () => {}))).toEqual({ killSuidGid: false });
    const change = request(88, (view) => {
      view.setUint32(0, (1 << 3) | (1 << 4) | (1 << 8) | (1 << 5) | (1 << 11), true);
      view.setBigUint64(16, 2n ** 40n, true);
      view.setBigInt64(32, -2n, true);
      view.setUint32(56, 7, true);
    });
    expect(readSetAttr(change)).toEqual({
      size: 2 ** 40,
      atime: { seconds: -2, nsec: 7 },
      mtime: "now",
      killSuidGid: true,
    });
  });

  test("read and write name a lock's owner only where there is one", () => {
    const fill = (flag: number) => (view: DataView) => {
      view.setUint32(20, flag, true);
      view.setBigUint64(24, 2n ** 63n + 1n, true);
    };
    expect([readRead(request(40, fill(0))).lockOwner, readRead(request(40, fill(2))).lockOwner]).toEqual([
      undefined,
      2n ** 63n + 1n,
    ]);
    expect(readWrite(request(40, fill(7)))).toMatchObject({
      isFromCache: true,
      killSuidGid: true,
      lockOwner: 2n ** 63n + 1n,
    });
    expect(readCreate(request(16, (view) => view.setUint32(12, 1, true)))).toMatchObject({ killSuidGid: true });
  });

  test("locks reach to the end of every file", () => {
    const lock = readLock(
      request(48, (view) => {
        view.setBigUint64(24, 2n ** 63n - 1n, true);
        view.setUint32(32, 1, true);
        view.setUint32(40, 1, true);
      }),
    );
    expect(lock).toMatchObject({ start: 0n, end: 2n ** 63n - 1n, type: "write", kind: "flock" });
  });
});

describe("replies", () => {
  test("writeEntry() keeps negative times, large numbers, devices and time-outs", () => {
    const buffer = reply();
    expect(buffer.writeEntry(16, { nodeid: 2 ** 53 - 1, attr, entryTimeoutMs: 250 })).toBe(128);
    const at = buffer.view;
    expect([readU64(at, 16), at.getBigUint64(56, true)]).toEqual([2 ** 53 - 1, 2n ** 63n]);
    expect([readU64(at, 32), at.getUint32(48, true)]).toEqual([0, 250_000_000]); // the entry's
    expect([readU64(at, 40), at.getUint32(52, true)]).toEqual([0xffff_ffff, 0]); // the attributes'
    expect([at.getBigInt64(80, true), at.getUint32(104, true)]).toEqual([-1n, 999_999_999]);
    expect(unpackDevice(at.getUint32(132, true))).toEqual({ major: 4095, minor: 1048575 });
  });

  test("a name that isn't there is an entry without a nodeid, for as long as was agreed", () => {
    const buffer = reply();
    buffer.bytes.fill(0xff);
    buffer.writeEntry(16, undefined);
    expect([readU64(buffer.view, 16), readU64(buffer.view, 32), buffer.view.getUint32(48, true)]).toEqual([
      0, 0, 250_000_000,
    ]);
  });

  test("a directory writer adds what fits the size that was asked for, and no more", () => {
    const writer = new DirectoryWriter(reply());
    writer.reset(64);
    expect([writer.add("a", 1, 8, 1), writer.add("12345678", 2, 8, 2), writer.add("c", 3, 8, 3)]).toEqual([
      true,
      true,
      false,
    ]);
    expect(writer.length).toBe(64);
    writer.reset(200);
    expect([writer.hasRoomForEntry(48), writer.hasRoomForEntry(49)]).toEqual([true, false]);
    expect(writer.addEntry("x".repeat(48), 1, 8, 1, { nodeid: 5, attr })).toBe(true);
    expect(writer.addEntry("", 1, 8, 2, undefined)).toBe(false);
    writer.reset(1 << 20); // more than the reply has room for
    while (writer.add("name", 1, 8, 1)) expect(writer.length).toBeLessThanOrEqual(4080);
  });
});

describe("INIT", () => {
  test("an old kernel offers no features beyond the 32nd", () => {
    const buffer = request(16, (view) => {
      view.setUint32(0, 7, true);
      view.setUint32(4, 31, true);
      view.setUint32(12, (1 << 13) | (1 << 30), true);
    });
    expect(readOffer(buffer)).toMatchObject({ major: 7, minor: 31, features: new Set(["DO_READDIRPLUS", "INIT_EXT"]) });
  });

  test("what was agreed on is laid out with flags in both words", () => {
    const buffer = reply();
    const terms = {
      major: 7,
      minor: 99,
      features: ["PASSTHROUGH", "INIT_EXT", "HAS_RESEND"] as const,
      maxWriteBytes: 1 << 20,
      maxReadaheadBytes: 4096,
      maxBackground: 12,
      timeGranularityNs: 1,
      maxStackDepth: 1,
    };
    expect(writeTerms(buffer, terms, 4096)).toBe(64);
    const { view } = buffer;
    expect([view.getUint32(20, true), view.getUint32(28, true), view.getUint32(48, true)]).toEqual([45, 1 << 30, 0xa0]);
    expect([view.getUint16(44, true), view.getUint32(52, true), view.getUint16(34, true)]).toEqual([256, 1, 9]);
  });
});

test("notifications have their code in the place of an error, and no unique", () => {
  const hex = (...args: Parameters<typeof makeNotification>): string =>
    Buffer.from(makeNotification(...args)).toString("hex");
  const head = (size: string, code: string): string => `${size}000000${code}0000000000000000000000`;
  expect(hex({ kind: "resend" })).toBe(head("10", "07"));
  expect(hex({ kind: "poll", handle: 2n ** 64n - 1n })).toBe(`${head("18", "01")}ffffffffffffffff`);
  expect(hex({ kind: "expire-entry", parent: 1, name: "\xff" })).toBe(
    `${head("22", "03")}01000000000000000100000001000000ff00`,
  );
  expect(hex({ kind: "delete", parent: 1, child: 2, name: "ab" })).toBe(
    `${head("2b", "06")}010000000000000002000000000000000200000000000000616200`,
  );
  expect(hex({ kind: "invalidate-inode", nodeid: 3, offset: -1, length: 0 })).toBe(
    `${head("28", "02")}0300000000000000ffffffffffffffff0000000000000000`,
  );
  expect(hex({ kind: "prune", nodeids: [1, 2 ** 33] })).toBe(
    `${head("30", "09")}0200000000000000000000000000000001000000000000000000000002000000`,
  );
  expect(hex({ kind: "store", nodeid: 1, offset: 2, data: Uint8Array.of(9) })).toBe(
    `${head("29", "04")}01000000000000000200000000000000010000000000000009`,
  );
});
