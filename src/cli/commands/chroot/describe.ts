import type { Chroot } from "../../../chroot/types.ts";
import type { JsonField } from "../../command.ts";

/** What the output says of a chroot; a subset of its description that stays the same whatever types come. */
export interface ChrootDescription {
  readonly name: string;
  readonly type: string;
  readonly directory: string;
  readonly description: string;
  readonly aliases: readonly string[];
  readonly profile: string;
  readonly file: string;
  readonly line: number;
}

export function describeChroot(chroot: Chroot): ChrootDescription {
  const { name, type, directory, description, aliases, profile, file, line } = chroot;
  return { name, type, directory, description, aliases, profile, file, line };
}

/** The fields of ChrootDescription; `prefix` says where they stand. */
export function chrootJson(prefix: string): JsonField[] {
  return [
    { name: `${prefix}name`, type: "string", summary: "its name" },
    { name: `${prefix}type`, type: "string", summary: "schroot.conf(5)'s type: `directory`, `plain`" },
    { name: `${prefix}directory`, type: "string", summary: "where its root is" },
    { name: `${prefix}description`, type: "string", summary: "one line for people; may be empty" },
    { name: `${prefix}aliases`, type: "string[]", summary: "its other names" },
    { name: `${prefix}profile`, type: "string", summary: "the directory of its profile, below /etc/schroot" },
    { name: `${prefix}file`, type: "string", summary: "the file that describes it" },
    { name: `${prefix}line`, type: "number", summary: "the line of its `[name]` there" },
  ];
}
