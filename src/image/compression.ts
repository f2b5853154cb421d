import { spawn } from "node:child_process";
import { pipeline, type Transform } from "node:stream";
import { UserError } from "../error.ts";
import { isErrno } from "../kernel/error.ts";

type Bytes = AsyncIterable<Uint8Array>;

/** How an archive is compressed, told by its first bytes. */
export type Compression = "none" | "gzip" | "xz" | "zstd" | "bzip2" | "lz4" | "lzop" | "lzip" | "compress";

/** @see RFC 1952, RFC 8878, the xz file format, file(1)'s magic "compress" */
const magics: readonly (readonly [Compression, string])[] = [
  ["gzip", "1f8b"],
  ["xz", "fd377a585a00"],
  ["zstd", "28b52ffd"],
  ["bzip2", "425a68"],
  ["lz4", "04224d18"],
  ["lzop", "894c5a4f000d"],
  ["lzip", "4c5a4950"],
  ["compress", "1f9d"],
];

export function detectCompression(start: Uint8Array): Compression {
  const hex = Buffer.from(start.subarray(0, 6)).toString("hex");
  return magics.find(([, magic]) => hex.startsWith(magic))?.[0] ?? "none";
}

/**
 * The bytes of an archive, decompressed as they are asked for.
 * @param archive how messages name it
 * @throws {UserError} data: the compressed bytes are damaged or cut off; unsupported: with what is missing
 */
export async function* decompress(input: Bytes, archive: string): AsyncGenerator<Uint8Array, void, void> {
  const iterator = input[Symbol.asyncIterator]();
  const first = await readStart(iterator);
  const compression = detectCompression(first);
  const whole = startWith(first, iterator);
  switch (compression) {
    case "none":
      yield* whole;
      return;
    case "gzip": {
      const { createGunzip } = await import("node:zlib");
      yield* transform(whole, createGunzip({ chunkSize }), archive);
      return;
    }
    case "zstd": {
      const zlib = await import("node:zlib");
      // Node has had it since 22.15.
      if ("createZstdDecompress" in zlib) yield* transform(whole, zlib.createZstdDecompress({ chunkSize }), archive);
      else yield* filter(whole, { program: "zstd", package: "zstd", archive });
      return;
    }
    case "xz":
      yield* filter(whole, { program: "xz", package: "xz-utils", archive });
      return;
    case "bzip2":
      yield* filter(whole, { program: "bzip2", package: "bzip2", archive });
      return;
    case "lz4":
      yield* filter(whole, { program: "lz4", package: "lz4", archive });
      return;
    case "lzop":
      yield* filter(whole, { program: "lzop", package: "lzop", archive });
      return;
    case "lzip":
    case "compress":
      await iterator.return?.();
      throw new UserError("unsupported", `${archive} is compressed with ${compression}, which isn't supported`, {
        hint: "decompress it first, or pack it again with gzip, xz or zstd",
      });
  }
}

const chunkSize = 1 << 20;

/** At least as many bytes as the longest magic has, unless there are no more. */
async function readStart(iterator: AsyncIterator<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for (let length = 0; length < 6;) {
    const next = await iterator.next();
    if (next.done === true) break;
    chunks.push(next.value);
    length += next.value.length;
  }
  return Buffer.concat(chunks);
}

async function* startWith(first: Buffer, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  try {
    yield first;
    for (;;) {
      const next = await rest.next();
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await rest.return?.();
  }
}

async function* transform(input: Bytes, stream: Transform, archive: string): AsyncGenerator<Uint8Array, void, void> {
  pipeline(input, stream, () => {
    // What went wrong reaches the loop below as the stream's own error.
  });
  try {
    yield* stream as AsyncIterable<Uint8Array>;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (!/^(?:Z_|ZSTD_|ERR_ZSTD)/.test(code)) throw error;
    throw new UserError("data", `${archive} can't be decompressed: ${(error as Error).message}`, { cause: error });
  }
}

interface Filter {
  readonly program: string;
  /** The Debian package that has it. */
  readonly package: string;
  readonly archive: string;
}

async function* filter(
  input: Bytes,
  { program, package: package_, archive }: Filter,
): AsyncGenerator<Uint8Array, void, void> {
  const child = spawn(program, ["-dc"], { stdio: ["pipe", "pipe", "pipe"] });
  const failures: Error[] = [];
  const ended = new Promise<number | string>((resolve) => {
    child
      .on("close", (status, signal) => resolve(status ?? signal ?? ""))
      .on("error", (error) => {
        failures.unshift(error);
        resolve("");
      });
  });
  pipeline(input, child.stdin, (error) => {
    // The program may stop reading before the end; why, it says itself.
    if (error && !isErrno(error, "EPIPE", "ERR_STREAM_PREMATURE_CLOSE")) failures.push(error);
  });
  let messages = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (messages += text));
  try {
    // Where the program can't be started, what its output says of that is less than `failures` has.
    yield* ignoreErrors(child.stdout as AsyncIterable<Uint8Array>);
    const status = await ended;
    const [failure] = failures;
    if (failure !== undefined && isErrno(failure, "ENOENT")) {
      const hint = `apt install ${package_}`;
      throw new UserError("unsupported", `${archive} can't be decompressed: the program ${program} is missing`, {
        hint,
        cause: failure,
      });
    }
    if (failure !== undefined) throw failure;
    if (status === 0) return;
    const reason = messages.split("\n").find((line) => line.trim() !== "") ?? `${program} ended with ${status}`;
    throw new UserError("data", `${archive} can't be decompressed: ${reason.trim()}`);
  } finally {
    child.kill("SIGKILL");
  }
}

async function* ignoreErrors(output: Bytes): AsyncGenerator<Uint8Array, void, void> {
  try {
    yield* output;
  } catch (error) {
    if (!isErrno(error, "ERR_STREAM_PREMATURE_CLOSE")) throw error;
  }
}
