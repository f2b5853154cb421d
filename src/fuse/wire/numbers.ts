// The protocol has the machine's own byte order; every machine that we run on is little-endian.

const TWO_32 = 0x1_0000_0000;

/** An unsigned 64-bit number below 2**53; above, the nearest double. */
export function readU64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * TWO_32;
}

/** A signed 64-bit number: exact from -2**53 to 2**53. */
export function readI64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getInt32(at + 4, true) * TWO_32;
}

export function writeU64(view: DataView, at: number, value: number | bigint): void {
  if (typeof value === "bigint") {
    view.setBigUint64(at, value, true);
    return;
  }
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, (value / TWO_32) >>> 0, true);
}

/** A signed 64-bit number of seconds: exact from -2**53 to 2**53. */
export function writeSeconds(view: DataView, at: number, seconds: number): void {
  view.setUint32(at, seconds >>> 0, true);
  view.setInt32(at + 4, Math.floor(seconds / TWO_32), true);
}

export function readSeconds(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getInt32(at + 4, true) * TWO_32;
}

/** Records of variable length begin at multiples of 8. */
export function align8(length: number): number {
  return (length + 7) & ~7;
}
