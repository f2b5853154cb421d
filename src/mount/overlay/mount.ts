import { MOUNT_ATTR } from "../../kernel/abi/mount.ts";
import { KernelError } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import { fileSystemOf, openDirectory } from "../../kernel/file.ts";
import { makeMount, MountError, type MountOption } from "../../kernel/mount.ts";
import { isMachinesUserSpace } from "../../kernel/userspace.ts";
import type { Union } from "../plan.ts";

/**
 * Mount options that make overlayfs behave, best first; what a kernel or a file system refuses is left out.
 * `redirect_dir`: directories can be renamed; `index`: hard links don't break at copy-up; `metacopy`: chmod and
 * chown copy no data; `xino`: inode numbers are one space. docs/overlayfs.md has the reasons.
 */
const wanted: readonly (readonly [key: string, value: string])[] = [
  ["redirect_dir", "on"],
  ["index", "on"],
  ["metacopy", "on"],
  ["xino", "auto"],
];

/**
 * In a user name space marks are attributes that its superuser may write, `user.overlay.*`. Redirects and metacopies the
 * kernel then refuses, as whoever owns a file could forge them, and without file handles, which it keeps for the machine's
 * superuser, there is no `index` and no `xino`.
 */
const wantedByUsers: typeof wanted = [["userxattr", ""]];

/** fsconfig(2) takes strings up to 255 bytes. */
const longest = 255;

/**
 * Makes an overlay of `union`, detached.
 * @param openPath opens a directory whose path is too long to be given as a string; the caller closes it
 * @returns the mount, and the options that the kernel took
 */
export function makeOverlay(
  union: Union,
  attributes: number,
  openPath: (path: string) => Fd,
): { mount: Fd; options: string[] } {
  const given = (union.options ?? []).map(splitOption);
  const all = isMachinesUserSpace() ? wanted : wantedByUsers;
  let options = all.filter(([key]) => !given.some(([name]) => name === key));
  for (;;) {
    try {
      const mount = makeMount(
        "overlay",
        [...options.map(asOption), ...given, ...layerOptions(union, openPath)],
        attributes,
      );
      refuseReadOnly(mount, attributes, union);
      return { mount, options: [...optionNames(options, union.volatile), ...(union.options ?? [])] };
    } catch (error) {
      const fewer = withoutRefused(options, error);
      if (fewer === undefined) throw explain(error, union);
      options = fewer;
    }
  }
}

/** Where it can't make its work directory, the kernel mounts it all the same, read-only, and tells its own log why. */
function refuseReadOnly(mount: Fd, attributes: number, { work }: Union): void {
  if ((attributes & MOUNT_ATTR.RDONLY) !== 0 || !fileSystemOf(mount).isReadOnly) return;
  mount.close();
  using directory = openDirectory(work);
  const { freeBytes, freeInodes, totalInodes } = fileSystemOf(directory);
  const isFull = freeBytes === 0 || (totalInodes > 0 && freeInodes === 0);
  const errno = isFull ? "ENOSPC" : "EROFS";
  throw new KernelError({ syscall: "make the overlay's work directory in", path: work, errno });
}

function asOption([key, value]: readonly [key: string, value: string]): MountOption {
  return value === "" ? [key] : [key, value];
}

function splitOption(option: string): MountOption {
  const equals = option.indexOf("=");
  return equals < 0 ? [option] : [option.slice(0, equals), option.slice(equals + 1)];
}

function layerOptions(union: Union, openPath: (path: string) => Fd): MountOption[] {
  const value = (path: string): string => (Buffer.byteLength(path) <= longest ? path : openPath(path).procPath);
  return [
    ["source", "fallthru"],
    ...(union.volatile ? [["volatile"] as const] : []),
    ...union.lowers.map((path) => ["lowerdir+", value(path)] as const),
    ["upperdir", value(union.upper)],
    ["workdir", value(union.work)],
  ];
}

/** The options without the one that was refused, or undefined where that isn't what was wrong. */
function withoutRefused<T extends MountOption>(options: readonly T[], error: unknown): T[] | undefined {
  if (!(error instanceof MountError) || error.errno !== "EINVAL") return undefined;
  const name = error.option ?? options.map(([key]) => key).find((key) => error.log.includes(key));
  if (name === undefined || !options.some(([key]) => key === name)) return undefined;
  return options.filter(([key]) => key !== name);
}

function optionNames(options: readonly (readonly [string, string])[], isVolatile: boolean): string[] {
  return [
    ...options.map(([key, value]) => (value === "" ? key : `${key}=${value}`)),
    ...(isVolatile ? ["volatile"] : []),
  ];
}

const overlapping = "no layer may lie inside another one, or be there twice; a directory on another file system may";
const stacked = "overlays stack two deep, and this one is a third: a session in a session in a session";

/** Of the whole overlay the kernel often says no more than EINVAL, and the reason to its own log. */
function explain(error: unknown, { lowers }: Union): unknown {
  if (!(error instanceof MountError) || error.option !== undefined) return error;
  const { errno, log } = error;
  const lower = lowers.at(-1) ?? "";
  const fields = { syscall: "mount overlay over", path: lower, errno };
  if (errno === "ENODEV") return new KernelError({ ...fields, hint: "load the module: modprobe overlay" });
  const hint = errno === "ELOOP" ? overlapping : errno === "EINVAL" && lowers.some(isOnOverlay) ? stacked : undefined;
  return new MountError(new KernelError({ ...fields, hint }), undefined, log);
}

function isOnOverlay(path: string): boolean {
  using directory = openDirectory(path);
  return fileSystemOf(directory).type === "overlay";
}
