import type { Chroot } from "../../../chroot/types.ts";
import { describeRoot } from "../../../chroot/types/index.ts";
import type { JsonField } from "../../command.ts";

/** What the output says of a chroot; a subset of its description that stays the same whatever types come. */
export interface ChrootDescription {
  readonly name: string;
  readonly type: string;
  /** Of the types directory and plain. */
  readonly directory?: string;
  readonly root: string;
  readonly description: string;
  readonly aliases: readonly string[];
  readonly profile: string;
  readonly file: string;
  readonly line: number;
}

export function describeChroot(chroot: Chroot): ChrootDescription {
  const { name, type, description, aliases, profile, file, line } = chroot;
  const directory = "directory" in chroot ? { directory: chroot.directory } : {};
  return { name, type, ...directory, root: describeRoot(chroot), description, aliases, profile, file, line };
}

/** The fields of ChrootDescription; `prefix` says where they stand. */
export function chrootJson(prefix: string): JsonField[] {
  return [
    { name: `${prefix}name`, type: "string", summary: "its name" },
    { name: `${prefix}type`, type: "string", summary: "schroot.conf(5)'s type: `directory`, `loopback`, ..." },
    { name: `${prefix}directory`, type: "string?", summary: "where its root is; absent where that is no directory" },
    { name: `${prefix}root`, type: "string", summary: "what its root is kept in: a directory, file, device, ..." },
    { name: `${prefix}description`, type: "string", summary: "one line for people; may be empty" },
    { name: `${prefix}aliases`, type: "string[]", summary: "its other names" },
    { name: `${prefix}profile`, type: "string", summary: "the directory of its profile, below /etc/schroot" },
    { name: `${prefix}file`, type: "string", summary: "the file that describes it" },
    { name: `${prefix}line`, type: "number", summary: "the line of its `[name]` there" },
  ];
}
