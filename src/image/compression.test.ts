import { expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { UserError } from "../error.ts";
import { decompress, detectCompression } from "./compression.ts";

const content = Buffer.concat([randomBytes(300_000), Buffer.alloc(300_000, "text "), randomBytes(1000)]);

const compressed = {
  gzip: execFileSync("gzip", ["-c"], { input: content }),
  xz: execFileSync("xz", ["-c"], { input: content }),
  zstd: execFileSync("zstd", ["-qc"], { input: content }),
  bzip2: execFileSync("bzip2", ["-c"], { input: content }),
} as const;

async function expand(bytes: Buffer, chunkSize = 10_000): Promise<Buffer> {
  const chunks = Array.from({ length: Math.ceil(bytes.length / chunkSize) }, (_, index) =>
    bytes.subarray(index * chunkSize, (index + 1) * chunkSize),
  );
  const parts: Uint8Array[] = [];
  for await (const part of decompress(Readable.from(chunks), "a.tar")) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => (error instanceof UserError ? error : Promise.reject(error as Error)),
  );

for (const [name, bytes] of Object.entries(compressed)) {
  test(`decompress() tells ${name} by its first bytes, in chunks of any size`, async () => {
    expect(detectCompression(bytes)).toBe(name as keyof typeof compressed);
    for (const size of [1 << 20, 4096, 97]) expect((await expand(bytes, size)).equals(content)).toBe(true);
  });

  test(`decompress() reads several ${name} streams as one`, async () => {
    expect((await expand(Buffer.concat([bytes, bytes]))).equals(Buffer.concat([content, content]))).toBe(true);
  });

  test(`decompress() refuses damaged ${name}`, async () => {
    const damaged = Buffer.from(bytes);
    damaged.fill(0x55, 50_000, 50_100);
    expect(await errorOf(expand(damaged))).toMatchObject({
      code: "data",
      message: expect.stringContaining("a.tar can't be decompressed: ") as string,
    });
  });

  // zstd's decoder in node:zlib takes a cut for the end; the archive's own end mark is then what is missing.
  if (name !== "zstd") {
    test(`decompress() refuses ${name} that is cut off`, async () => {
      expect(await errorOf(expand(bytes.subarray(0, bytes.length - 5)))).toMatchObject({ code: "data" });
      expect(await errorOf(expand(bytes.subarray(0, 100_000)))).toMatchObject({ code: "data" });
    });
  }
}

test("decompress() passes on what isn't compressed, even nothing", async () => {
  expect((await expand(content)).equals(content)).toBe(true);
  expect(await expand(Buffer.alloc(0))).toHaveLength(0);
  expect((await expand(Buffer.from([0x1f]))).toString("hex")).toBe("1f");
});

test("decompress() names what it can't read", async () => {
  const lzip = Buffer.concat([Buffer.from("LZIP"), content]);
  expect(await errorOf(expand(lzip))).toMatchObject({
    code: "unsupported",
    message: "a.tar is compressed with lzip, which isn't supported",
  });
});

test("decompress() says which package has a program that is missing", async () => {
  const path = process.env["PATH"];
  process.env["PATH"] = "/nonexistent";
  const error = await errorOf(expand(compressed.xz)).finally(() => (process.env["PATH"] = path));
  expect(error).toMatchObject({ code: "unsupported", hint: "apt install xz-utils" });
});

test("decompress() lets go of its program when nobody reads on", async () => {
  for await (const part of decompress(Readable.from([compressed.xz]), "a.tar")) {
    expect(part.length).toBeGreaterThan(0);
    break;
  }
});
