import { UserError } from "../error.ts";
import { isUsers } from "../places.ts";
import type { Fd } from "../kernel/fd.ts";
import { type AptSource, keyringsOf } from "./apt/sources.ts";
import type { Bootstrap } from "./bootstrap.ts";

/** What mmdebstrap(1) can install; `required` and `debootstrap` are its other names for minbase and important. */
export const variants = [
  "extract",
  "custom",
  "essential",
  "apt",
  "required",
  "minbase",
  "buildd",
  "important",
  "debootstrap",
  "standard",
] as const;
export type Variant = (typeof variants)[number];

/** What is to be installed. */
export interface Selection {
  readonly suite: string;
  readonly variant: Variant;
  readonly packages: readonly string[];
  readonly sources: readonly AptSource[];
  /** The sources as apt reads them. */
  readonly sourcesText: string;
}

/** @see mmdebstrap(1) */
export function mmdebstrap({ suite, variant, packages, sourcesText }: Selection, root: Fd): Bootstrap {
  // Not empty: our apt.conf is there. And the sources themselves say what they are signed by.
  const skipped = "--skip=check/empty,check/signed-by";
  const include = packages.length > 0 ? [`--include=${packages.join(",")}`] : [];
  const args = [
    // In a user name space its other mode knows what the kernel forbids; it needs no further one there.
    `--mode=${isUsers ? "unshare" : "root"}`,
    "--format=directory",
    `--variant=${variant}`,
    skipped,
    ...include,
    suite,
    root.path,
    "-",
  ];
  return { program: "mmdebstrap", args, input: sourcesText };
}

/**
 * debootstrap knows one archive and fewer variants; the other sources are there for later.
 * @throws {UserError} unsupported: with mmdebstrap only
 * @see debootstrap(8)
 */
export function debootstrap({ suite, variant, packages, sources }: Selection, root: Fd): Bootstrap {
  const own = debootstrapVariants[variant];
  if (own === undefined) {
    throw new UserError("unsupported", `debootstrap has no variant ${variant}`, { hint: "apt install mmdebstrap" });
  }
  const source = sources.find(({ types, suites }) => types.includes("deb") && suites.includes(suite));
  const mirror = source?.uris[0];
  if (source === undefined || mirror === undefined)
    throw new UserError("config", `the apt sources have no suite ${suite}`);
  const [keyring] = keyringsOf([source]);
  const args = [
    ...own,
    "--force-check-gpg",
    `--components=${source.components.join(",")}`,
    ...(keyring === undefined ? [] : [`--keyring=${keyring}`]),
    ...(packages.length > 0 ? [`--include=${packages.join(",")}`] : []),
    suite,
    root.path,
    mirror,
  ];
  return { program: "debootstrap", args, input: "" };
}

const debootstrapVariants: Readonly<Partial<Record<Variant, readonly string[]>>> = {
  minbase: ["--variant=minbase"],
  required: ["--variant=minbase"],
  buildd: ["--variant=buildd"],
  important: [],
  debootstrap: [],
};
