import type { Malformed } from "./header.ts";

/** One `keyword=value` of an extended header. The keyword is latin1, so that its bytes survive. */
export interface PaxRecord {
  readonly keyword: string;
  readonly value: Buffer;
}

/**
 * The records of an extended header's content.
 * @see POSIX pax, "pax Extended Header": "%d %s=%s\n", the length counts itself and the newline
 */
export function parsePax(content: Buffer, malformed: Malformed): PaxRecord[] {
  const records: PaxRecord[] = [];
  for (let start = 0; start < content.length;) {
    const space = content.indexOf(0x20, start);
    const digits = space < 0 ? "" : content.toString("latin1", start, space);
    const end = start + (/^[0-9]{1,10}$/.test(digits) ? Number(digits) : 0);
    const equals = content.indexOf(0x3d, space);
    if (end > content.length || content[end - 1] !== 0x0a || equals < 0 || equals >= end) {
      throw malformed("has a bad extended header");
    }
    records.push({
      keyword: content.toString("latin1", space + 1, equals),
      value: content.subarray(equals + 1, end - 1),
    });
    start = end;
  }
  return records;
}

/** What global and own extended headers say of one entry: the last value of each keyword. */
export type PaxValues = ReadonlyMap<string, Buffer>;

/** An empty value takes back what an earlier header said, except of extended attributes, which may be empty. */
export function mergePax(into: Map<string, Buffer>, records: readonly PaxRecord[]): void {
  for (const { keyword, value } of records) {
    if (value.length === 0 && !isXattr(keyword)) into.delete(keyword);
    else into.set(keyword, value);
  }
}

const schily = "SCHILY.xattr.";
const libarchive = "LIBARCHIVE.xattr.";

function isXattr(keyword: string): boolean {
  return keyword.startsWith(schily) || keyword.startsWith(libarchive);
}

/** An extended attribute; the name may be any bytes. */
export interface Xattr {
  readonly name: Buffer;
  readonly value: Buffer;
}

/**
 * The extended attributes in a header. bsdtar writes both spellings of each; star's, which is exact, wins.
 * @see star(5) "SCHILY.xattr", where GNU tar spells = and % in names as %3D and %25; tar(5) of libarchive
 */
export function parseXattrs(values: PaxValues, malformed: Malformed): Xattr[] {
  const found = new Map<string, Buffer>();
  for (const [keyword, value] of values) {
    if (keyword.startsWith(libarchive)) {
      const name = keyword.slice(libarchive.length).replace(/%([0-9A-Fa-f]{2})/g, (_, code: string) => fromHex(code));
      if (!found.has(name)) found.set(name, Buffer.from(value.toString("latin1"), "base64"));
    } else if (keyword.startsWith(schily)) {
      const name = keyword.slice(schily.length).replace(/%(3D|25)/g, (_, code: string) => fromHex(code));
      found.set(name, value);
    }
  }
  return Array.from(found, ([name, value]) => {
    if (name === "" || name.includes("\0")) throw malformed("has an extended attribute with a bad name");
    return { name: Buffer.from(name, "latin1"), value };
  });
}

function fromHex(code: string): string {
  return String.fromCharCode(Number.parseInt(code, 16));
}

/** A decimal number of a header, or undefined where there is none. */
export function paxNumber(values: PaxValues, keyword: string, malformed: Malformed): number | undefined {
  const value = values.get(keyword);
  if (value === undefined) return undefined;
  const number = parseDecimal(value.toString("latin1"));
  if (number === undefined) throw malformed(`has a bad ${keyword}`);
  return number;
}

export function parseDecimal(text: string): number | undefined {
  const number = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(number) ? number : undefined;
}

/** A time of a header, seconds with a fraction and perhaps a sign, in nanoseconds since 1970. */
export function paxTime(values: PaxValues, keyword: string, malformed: Malformed): bigint | undefined {
  const value = values.get(keyword);
  if (value === undefined) return undefined;
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(value.toString("latin1"));
  if (match === null) throw malformed(`has a bad ${keyword}`);
  const [, sign, seconds, fraction] = match;
  const ns = BigInt(seconds ?? "0") * 1_000_000_000n + BigInt((fraction ?? "").slice(0, 9).padEnd(9, "0"));
  return sign === "-" ? -ns : ns;
}
