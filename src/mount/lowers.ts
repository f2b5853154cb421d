import { O } from "../kernel/abi/file.ts";
import { E } from "../kernel/abi/errno.ts";
import { KernelError } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { openAt } from "../kernel/file.ts";
import { attributeName, getXattr } from "../kernel/io.ts";
import { makeMount, type MountOption } from "../kernel/mount.ts";
import { AufsDialect, isAufsBranch } from "../layer/dialect/aufs.ts";
import type { Dialect } from "../layer/dialect/dialect.ts";
import { OverlayDialect } from "../layer/dialect/overlay.ts";
import { fallthruMount } from "./fallthru/index.ts";
import { makeFallthru } from "./fallthru/mount.ts";
import type { Union } from "./plan.ts";

/**
 * What lies below a union's upper, as one tree to be read, on a mount that nobody else sees and that goes with the
 * descriptor. One lower is that itself: undefined.
 * @param lowers the open directories of the union's lowers
 * @param dialect the upper's: see upperDialect()
 */
export function mountLowers(union: Union, lowers: readonly Fd[], dialect: Dialect): Fd | undefined {
  const isOurs = union.type === "fallthru";
  const isFormatted = union.ours?.lowerDialect === "aufs" || lowers.some((lower) => isAufsBranch(lower.number));
  if (lowers.length === 1 && !(isOurs && isFormatted)) return undefined;
  // What both read alike the kernel reads without asking a server for each name.
  const isAlike = !isFormatted && dialect instanceof OverlayDialect && dialect.prefix === "trusted.overlay.";
  using mount = isOurs
    ? ((isAlike ? tryOverlay(union) : undefined) ?? makeFallthru(oursOf(union), ""))
    : mountOverlay(union);
  return openAt(mount, ".", O.RDONLY | O.DIRECTORY);
}

/** overlayfs may be missing, and takes fewer lowers: not those that it has a part in twice already, nor more than 500. */
function tryOverlay(union: Union): Fd | undefined {
  try {
    return mountOverlay(union);
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

function oursOf({ lowers, ours }: Union): Parameters<typeof makeFallthru>[0] {
  const { marks, lowerDialect } = ours ?? {};
  return fallthruMount({ lowers, ...(marks && { marks }), ...(lowerDialect && { lowerDialect }) });
}

function mountOverlay(union: Union): Fd {
  using opened = new DisposableStack();
  const layers = union.lowers.map((lower): MountOption => {
    // fsconfig(2) takes strings up to 255 bytes.
    const path = opened.use(openAt(null, lower, O.PATH | O.DIRECTORY)).procPath;
    return ["lowerdir+", path];
  });
  return makeMount("overlay", [
    ["source", "fallthru"],
    ...(isUserOverlay(union) ? ([["userxattr"]] as const) : followed),
    ...layers,
  ]);
}

/** Without an upper redirects are followed; and a lower may be what was an upper. By users' marks neither can be. */
const followed: readonly MountOption[] = [
  ["redirect_dir", "follow"],
  ["metacopy", "on"],
  ["xino", "auto"],
];

function isUserOverlay({ options = [] }: Union): boolean {
  return options.includes("userxattr");
}

/** What a union that is mounted writes its upper in; nothing is tried out there. */
export function upperDialect(union: Union, upper: Fd): Dialect {
  if (union.type === "overlay") return new OverlayDialect(isUserOverlay(union) ? "user.overlay." : "trusted.overlay.");
  // The first thing that ours does with an upper in aufs's format.
  if (isAufsBranch(upper.number)) return new AufsDialect();
  const marks = union.ours?.marks ?? (hasTrusted(upper) ? "trusted" : "user");
  return new OverlayDialect(`${marks}.overlay.`);
}

function hasTrusted(upper: Fd): boolean {
  const result = getXattr(upper.number, "", attributeName("trusted.overlay.probe"), new Uint8Array(0));
  return result !== -E.OPNOTSUPP && result !== -E.PERM;
}
