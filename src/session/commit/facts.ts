import { E } from "../../kernel/abi/errno.ts";
import { S } from "../../kernel/abi/file.ts";
import {
  chmodName,
  chownName,
  fail,
  must,
  type Name,
  stat,
  statFd,
  statName,
  type Time,
  utimesName,
} from "../../kernel/at.ts";
import type { Attr } from "../../kernel/file.ts";
import { attributeName, getXattr, removeXattr, setXattrOf } from "../../kernel/io.ts";
import type { Entry } from "../../layer/attributes.ts";
import type { Facts, Xattrs } from "./journal.ts";

const value = Buffer.alloc(65536);

/** The values of some extended attributes, as a journal has them. */
export function readXattrs({ fd, name }: Entry, names: Iterable<Name>): Xattrs {
  return Array.from(names, (attribute) => {
    const length = getXattr(fd, name, attributeName(attribute), value);
    if (length === -E.NODATA || length === -E.OPNOTSUPP) return [attribute, null] as const;
    if (length < 0) return fail("getxattr", name, length);
    return [attribute, value.toString("hex", 0, length)] as const;
  });
}

export function factsOf(attr: Attr, xattrs: Xattrs): Facts {
  const { mode, uid, gid, atimeNs, mtimeNs } = attr;
  return { mode, uid, gid, atime: String(atimeNs), mtime: String(mtimeNs), xattrs };
}

/** What of a file's attributes is set: its times last of all. */
export type What = "all" | "all but times";

/**
 * Sets attributes to what is wanted; doing it twice is the same as once. chown takes capabilities and setuid away, even where
 * the owner stays, and an ACL is part of the mode, so the order counts.
 */
export function setFacts({ fd, name }: Entry, facts: Facts, what: What): void {
  must("stat", name, name === "" ? statFd(fd) : statName(fd, name));
  if (stat.uid !== facts.uid || stat.gid !== facts.gid) must("chown", name, chownName(fd, name, facts.uid, facts.gid));
  for (const [attribute, hex] of facts.xattrs) setXattr({ fd, name }, attribute, hex);
  if ((facts.mode & S.IFMT) !== S.IFLNK) must("chmod", name, chmodName(fd, name, facts.mode));
  if (what === "all") setTimes({ fd, name }, facts);
}

export function setTimes({ fd, name }: Entry, { atime, mtime }: Facts): void {
  must("utimes", name, utimesName(fd, name, timeOf(BigInt(atime)), timeOf(BigInt(mtime))));
}

function setXattr({ fd, name }: Entry, attribute: Name, hex: string | null): void {
  if (hex !== null) {
    must("setxattr", name, setXattrOf(fd, name, attributeName(attribute), Buffer.from(hex, "hex")));
    return;
  }
  const result = removeXattr(fd, name, attributeName(attribute));
  if (result < 0 && result !== -E.NODATA && result !== -E.OPNOTSUPP) fail("removexattr", name, result);
}

/** Nanoseconds as utimensat(2) takes them, also before 1970. */
function timeOf(ns: bigint): Time {
  const rest = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return { seconds: Number((ns - rest) / 1_000_000_000n), nsec: Number(rest) };
}
