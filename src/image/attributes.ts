import { isErrno } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { changeModeAt, changeOwnerAt, fileSystemOf, setTimesAt } from "../kernel/file.ts";
import { type Path, pathText } from "../kernel/libc.ts";
import { isMachinesUserSpace } from "../kernel/userspace.ts";
import { setXattrAt } from "../kernel/xattr.ts";
import type { TarHeader } from "./tar/entry.ts";
import type { Xattr } from "./tar/pax.ts";

/** Why an entry can't have what the archive gives it; it follows the entry's name. */
export class AttributeProblem extends Error {
  readonly code: "data" | "unsupported";
  readonly hint: string | undefined;

  constructor(code: "data" | "unsupported", message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }
}

export type Attributes = Pick<TarHeader, "mode" | "uid" | "gid" | "mtimeNs" | "xattrs">;

/**
 * Gives what was just made its owner, mode, extended attributes and times, in this order: a change of owner
 * takes away set-user-ID bits and capabilities, and every change but the last would touch the times.
 * @param kind a symbolic link has no mode of its own
 */
export function applyAttributes(dir: Fd, name: Path, attributes: Attributes, kind: "link" | "other"): void {
  giveTo(dir, name, attributes.uid, attributes.gid);
  if (kind === "other") changeModeAt(dir, name, attributes.mode);
  for (const xattr of attributes.xattrs) setAttribute(dir, name, xattr);
  setTimesAt(dir, name, attributes.mtimeNs, attributes.mtimeNs);
}

function giveTo(dir: Fd, name: Path, uid: number, gid: number): void {
  try {
    changeOwnerAt(dir, name, uid, gid);
  } catch (error) {
    if (!isErrno(error, "EINVAL") || isMachinesUserSpace()) throw error;
    throw new AttributeProblem("unsupported", `its owner ${uid}:${gid} is beyond your subordinate ids`, {
      hint: "a larger range in /etc/subuid and /etc/subgid, or unpack it as root",
      cause: error,
    });
  }
}

export function setAttribute(dir: Fd, name: Path, { name: attribute, value }: Xattr): void {
  try {
    setXattrAt(dir, name, attribute, value);
  } catch (error) {
    const text = pathText(attribute);
    if (isErrno(error, "EOPNOTSUPP")) {
      const { type } = fileSystemOf(dir);
      throw new AttributeProblem("unsupported", `the file system (${type}) can't keep the extended attribute ${text}`, {
        cause: error,
      });
    }
    // EPERM: `user.` attributes are for regular files and directories only (xattr(7)).
    if (!isErrno(error, "EINVAL", "ERANGE", "E2BIG", "EPERM")) throw error;
    throw new AttributeProblem("data", `the kernel refuses the extended attribute ${text}`, { cause: error });
  }
}

/**
 * overlayfs's own marks: in a layer they make it show other files than the tree has. A root is to be a layer's
 * content, so marks from the machine where it was packed aren't taken over. In a user name space its marks have another name,
 * and what only the machine's superuser may set is left out, too.
 */
export function isLeftOut({ name }: Xattr): boolean {
  const text = name.toString("latin1");
  if (isMachinesUserSpace()) return text.startsWith("trusted.overlay.");
  return /^(?:trusted\.|user\.overlay\.|security\.(?!capability$))/.test(text);
}
