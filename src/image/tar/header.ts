/** The size of a header, and what contents are padded to. */
export const blockSize = 512;

/** Makes the error for this place in the archive; `what` continues "it …". */
export type Malformed = (what: string) => Error;

/** One header block as it stands, before extended headers change it. */
export interface Block {
  /** The type flag, `0` for the NUL of old archives. */
  readonly type: string;
  readonly format: "v7" | "ustar" | "gnu";
  readonly name: Buffer;
  readonly linkName: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of the content that follows, in bytes. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly major: number;
  readonly minor: number;
}

/**
 * Reads one header block of any of tar's formats.
 * @see tar(5), POSIX pax "ustar Interchange Format", GNU tar manual "Basic Tar Format"
 */
export function parseBlock(block: Buffer, malformed: Malformed): Block {
  checkSum(block, malformed);
  const magic = block.toString("latin1", 257, 265);
  const format = magic === "ustar  \0" ? "gnu" : magic.startsWith("ustar") ? "ustar" : "v7";
  const field = (what: string, start: number, length: number) =>
    parseNumber(block, start, length, () => malformed(`has a bad ${what}`));
  const hasDevice = format !== "v7";
  return {
    type: block[156] === 0 ? "0" : block.toString("latin1", 156, 157),
    format,
    name: joinPrefix(format === "ustar" ? prefixOf(block) : Buffer.alloc(0), text(block, 0, 100)),
    linkName: text(block, 157, 100),
    mode: field("mode", 100, 8) & 0o7777,
    uid: field("owner", 108, 8),
    gid: field("group", 116, 8),
    size: field("size", 124, 12),
    mtime: field("time", 136, 12),
    major: hasDevice ? field("device", 329, 8) : 0,
    minor: hasDevice ? field("device", 337, 8) : 0,
  };
}

export function isZeroBlock(block: Buffer): boolean {
  return block.every((byte) => byte === 0);
}

/** The sum of all bytes with the sum's own field as spaces. Some old writers summed signed bytes. */
function checkSum(block: Buffer, malformed: Malformed): void {
  let unsigned = 0;
  let signed = 0;
  for (let index = 0; index < blockSize; index++) {
    const byte = index >= 148 && index < 156 ? 0x20 : (block[index] ?? 0);
    unsigned += byte;
    signed += byte < 128 ? byte : byte - 256;
  }
  const stored = parseNumber(block, 148, 8, () => malformed("has a bad checksum"));
  if (stored !== unsigned && stored !== signed) throw malformed("has a bad checksum");
}

/** star's "xustar" has the prefix shortened and times behind it; it says so at the end of the block. */
function prefixOf(block: Buffer): Buffer {
  const isStar = block.toString("latin1", 508, 512) === "tar\0";
  return text(block, 345, isStar ? 131 : 155);
}

function joinPrefix(prefix: Buffer, name: Buffer): Buffer {
  return prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from("/"), name]);
}

function text(block: Buffer, start: number, length: number): Buffer {
  const field = block.subarray(start, start + length);
  const end = field.indexOf(0);
  return end < 0 ? field : field.subarray(0, end);
}

/** Octal digits, or a two's complement number whose first bit is set (GNU's base-256). */
export function parseNumber(block: Buffer, start: number, length: number, malformed: () => Error): number {
  const first = block[start] ?? 0;
  const value = first >= 0x80 ? parseBinary(block.subarray(start, start + length)) : parseOctal(block, start, length);
  if (!Number.isSafeInteger(value)) throw malformed();
  return value;
}

function parseOctal(block: Buffer, start: number, length: number): number {
  let value = 0;
  let index = start;
  while (index < start + length && block[index] === 0x20) index++;
  for (; index < start + length; index++) {
    const byte = block[index] ?? 0;
    if (byte === 0 || byte === 0x20) return value;
    if (byte < 0x30 || byte > 0x37) return Number.NaN;
    value = value * 8 + (byte - 0x30);
  }
  return value;
}

function parseBinary(field: Buffer): number {
  const first = field[0] ?? 0;
  // 0x80 marks a positive number, 0xff a negative one; the rest of the first byte belongs to the number.
  let value = first === 0xff ? -1n : BigInt(first & 0x7f);
  for (const byte of field.subarray(1)) value = value * 256n + BigInt(byte);
  return Number(value);
}
