import { STATX_ATTR_MOUNT_ROOT } from "./abi/file.ts";
import type { Attr } from "./file.ts";

/** In which of these two differ, as one number; made of bits, as most are asked for all of them. */
export const ATTR = { MODE: 1, OWNER: 2, MTIME: 4, SIZE: 8, RDEV: 16 } as const;

/** Of attributes that takeAttr() kept without the objects and 64-bit numbers that asking for each field makes. */
export function differingAttr(one: Attr, other: Attr): number {
  if (one instanceof KeptAttr && other instanceof KeptAttr) return one.differingFrom(other);
  const isSameDevice = one.rdev.major === other.rdev.major && one.rdev.minor === other.rdev.minor;
  return (
    (one.mode === other.mode ? 0 : ATTR.MODE) |
    (one.uid === other.uid && one.gid === other.gid ? 0 : ATTR.OWNER) |
    (one.mtimeNs === other.mtimeNs ? 0 : ATTR.MTIME) |
    (one.size === other.size ? 0 : ATTR.SIZE) |
    (isSameDevice ? 0 : ATTR.RDEV)
  );
}

/** What of struct statx is kept, out of which each field is read when it is asked for; include/uapi/linux/stat.h. */
export class KeptAttr implements Attr {
  readonly #words: Uint32Array;
  readonly #start: number;

  constructor(kept: Uint32Array, start: number) {
    this.#words = kept;
    this.#start = start;
  }

  #word(at: number): number {
    return this.#words[this.#start + at] ?? 0;
  }

  differingFrom(other: KeptAttr): number {
    const one = this.#words;
    const two = other.#words;
    const a = this.#start;
    const b = other.#start;
    let found = (((one[a + 7] ?? 0) ^ (two[b + 7] ?? 0)) & 0xffff) === 0 ? 0 : ATTR.MODE;
    if (one[a + 5] !== two[b + 5] || one[a + 6] !== two[b + 6]) found |= ATTR.OWNER;
    if (one[a + 28] !== two[b + 28] || one[a + 29] !== two[b + 29] || one[a + 30] !== two[b + 30]) found |= ATTR.MTIME;
    if (one[a + 10] !== two[b + 10] || one[a + 11] !== two[b + 11]) found |= ATTR.SIZE;
    if (one[a + 32] !== two[b + 32] || one[a + 33] !== two[b + 33]) found |= ATTR.RDEV;
    return found;
  }

  #long(at: number): bigint {
    return (BigInt(this.#word(at + 1)) << 32n) | BigInt(this.#word(at));
  }

  #number(at: number): number {
    return this.#word(at + 1) * 0x1_0000_0000 + this.#word(at);
  }

  /** Seconds may be before 1970. */
  #time(at: number): bigint {
    return BigInt.asIntN(64, this.#long(at)) * 1_000_000_000n + BigInt(this.#word(at + 2));
  }

  get nlink(): number {
    return this.#word(4);
  }
  get uid(): number {
    return this.#word(5);
  }
  get gid(): number {
    return this.#word(6);
  }
  get mode(): number {
    return this.#word(7) & 0xffff;
  }
  get ino(): bigint {
    return this.#long(8);
  }
  get size(): number {
    return this.#number(10);
  }
  get blocks(): number {
    return this.#number(12);
  }
  get atimeNs(): bigint {
    return this.#time(16);
  }
  get ctimeNs(): bigint {
    return this.#time(24);
  }
  get mtimeNs(): bigint {
    return this.#time(28);
  }
  get rdev(): Attr["rdev"] {
    return { major: this.#word(32), minor: this.#word(33) };
  }
  get dev(): Attr["dev"] {
    return { major: this.#word(34), minor: this.#word(35) };
  }
  get mountId(): bigint {
    return this.#long(36);
  }
  get isMountRoot(): boolean {
    return (this.#word(2) & STATX_ATTR_MOUNT_ROOT) !== 0;
  }
}
