import type { KeyReader } from "./keys.ts";
import type { LoginPolicy } from "./login.ts";
import type { Problem } from "./problem.ts";
import type { chrootTypes } from "./types/index.ts";

/** What every chroot has, whatever its type: the keys of schroot.conf(5)'s "General options". */
export interface ChrootBase {
  readonly type: string;
  readonly name: string;
  /** Where it is described; the line is that of its `[name]`. */
  readonly file: string;
  readonly line: number;
  readonly aliases: readonly string[];
  readonly description: string;
  /** The description in other languages, by locale: `description[fr]`. */
  readonly translations: Readonly<Record<string, string>>;
  /** Who may use it, and who may be root in it without a password. */
  readonly users: readonly string[];
  readonly groups: readonly string[];
  readonly rootUsers: readonly string[];
  readonly rootGroups: readonly string[];
  /** A directory below /etc/schroot. */
  readonly profile: string;
  readonly setup: SetupFiles;
  readonly messageVerbosity: "quiet" | "normal" | "verbose";
  /** A command and its options that are put in front of every command. */
  readonly commandPrefix: readonly string[];
  /** A name of personality(2)'s, `undefined` (the text) for none. */
  readonly personality: string;
  readonly preserveEnvironment: boolean;
  readonly shell: string | undefined;
  /** An extended regular expression: matching variables don't reach the command. */
  readonly environmentFilter: string | undefined;
  readonly userModifiableKeys: readonly string[];
  readonly rootModifiableKeys: readonly string[];
  /** Directories laid over the root, the topmost first: our own key `fallthru.lower`. */
  readonly lowers: readonly string[];
  /** Whose logins are sessions of it; undefined: nobody's. */
  readonly login: LoginPolicy | undefined;
  /** An administrator's own keys, such as `debian.distribution`. */
  readonly custom: Readonly<Record<string, string>>;
  /** What was understood, though it isn't written as it should be. */
  readonly warnings: readonly Problem[];
}

/** Files that take the place of the profile's, relative to /etc/schroot; an empty name: none at all. */
export interface SetupFiles {
  readonly fstab: string | undefined;
  readonly copyfiles: string | undefined;
  readonly nssdatabases: string | undefined;
  /** A shell file, of which only assignments to the variables of schroot-script-config(5) are taken. */
  readonly config: string | undefined;
  /** The same under its old name; its directory is the profile. */
  readonly scriptConfig: string | undefined;
  readonly services: readonly string[];
}

/** Where a session finds the tree that it covers, or what it makes it of. */
export type RootSource = { readonly kind: "directory"; readonly path: string } | MadeRoot;

/** A tree that each session makes for itself, and takes away again. */
export type MadeRoot =
  | { readonly kind: "archive"; readonly file: string; readonly location: string } //       unpacked
  | { readonly kind: "image"; readonly file: string; readonly mount: DeviceMount } //       on a loop device
  | { readonly kind: "device"; readonly device: string; readonly mount: DeviceMount }
  | { readonly kind: "btrfs"; readonly subvolume: string; readonly snapshots: string }
  | { readonly kind: "lvm"; readonly device: string; readonly options: readonly string[]; readonly mount: DeviceMount }
  | { readonly kind: "zfs"; readonly dataset: string; readonly options: readonly string[]; readonly mount: DeviceMount }
  | { readonly kind: "update"; readonly chroot: string; readonly of: UpdateTarget } //         copied, then exchanged
  | { readonly kind: "empty" }; //                                                          filled by somebody else

/** What an update replaces by a changed copy. */
export type UpdateTarget =
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "subvolume"; readonly path: string }
  | { readonly kind: "image"; readonly path: string; readonly mount: DeviceMount };

/** How a device is mounted: schroot.conf(5), "Mountable chroot options". */
export interface DeviceMount {
  /** As /proc/filesystems names it; undefined: whatever is found on it. */
  readonly type: string | undefined;
  /** As mount(8) takes them behind -o. */
  readonly options: readonly string[];
  /** All this as it was written. */
  readonly written: string;
  /** The directory on it that is the root: `/`, or below it. */
  readonly location: string;
}

/**
 * One way to keep a root. Methods, not function properties: each implementation's `locate` takes its own chroots only,
 * and locateRoot() hands it no others.
 */
export interface ChrootType {
  /** The value of the key `type`. */
  readonly name: string;
  /** Takes the type's own keys; their problems stay with `keys`, and then the result is dropped. */
  parse(common: Omit<ChrootBase, "type">, keys: KeyReader): Chroot;
  /** @throws {UserError} not-found, with the way out */
  locate(chroot: Chroot): RootSource;
  /** The type's own keys, without those of unions and sources, as `schroot --config` prints them: absent ones empty. */
  keys(chroot: Chroot): Readonly<Record<string, string>>;
  /** What people know the root by: a directory, file, device, subvolume or dataset. */
  describe(chroot: Chroot): string;
}

/** A described root: plain data, told apart by `type`. The members follow from the list in types/index.ts. */
export type Chroot = ReturnType<(typeof chrootTypes)[number]["parse"]>;
