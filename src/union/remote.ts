import { S } from "../kernel/abi/file.ts";
import type { Name } from "../kernel/at.ts";
import type { LayerDirectory } from "../layer/directory.ts";
import type { Core, Writable } from "./core.ts";
import type { Copied, Errand, Result } from "./errand.ts";
import type { Inode } from "./inode.ts";
import { storedName } from "./xattr.ts";

/** Where an operation will look in a lower that may keep it waiting: a name below an open directory, or that itself (""). */
export interface RemotePlace {
  /** For the current operation only. */
  readonly dirfd: number;
  readonly name: Name;
  readonly isFile: boolean;
}

/** What an operation will want: see errandsOf(). */
export type Demand =
  /** A directory's entries, to show them. */
  | { readonly kind: "list"; readonly nodeid: number }
  /** Those of one that stands at a name, to see whether it is empty. */
  | { readonly kind: "empty"; readonly parent: number; readonly name: Name }
  | { readonly kind: "attributes" | "readlink" | "listxattr"; readonly nodeid: number }
  | { readonly kind: "getxattr"; readonly nodeid: number; readonly attribute: Name }
  /** It is to be changed, so to be copied up; of its content so much, undefined: none of it. */
  | { readonly kind: "change"; readonly nodeid: number; readonly upTo: number | undefined }
  | { readonly kind: "change-name"; readonly parent: number; readonly name: Name };

/** What lowers that may keep us waiting have said, before the operation that asks them. */
export class Answers {
  readonly entries = new Map<LayerDirectory, Result>();
  /** Of a link, an attribute, or the list of those. */
  readonly texts = new Map<Inode, Result>();
  /** Made in the work directory. */
  readonly copies = new Map<Inode, PreparedCopy>();
}

/** What copy-up was to make, made already: at a name of the work directory. */
export interface PreparedCopy {
  /** −errno: it couldn't be. */
  readonly status: number;
  readonly temporary: Name;
  readonly upTo: number;
  /** Undefined: of content alone. */
  readonly copied: Copied | undefined;
}

/** One errand, the descriptors that it names, valid for the current operation only, and where its result belongs. */
export interface PendingErrand {
  readonly errand: Errand;
  readonly descriptors: readonly number[];
  readonly take: (result: Result, answers: Answers) => void;
}

/**
 * What an operation on an inode, or on a name of a directory, will ask such lowers first; nothing where it needs none.
 * What it asks beyond that errandsOf() says.
 */
export function remotePlaces(core: Core, nodeid: number, name: Name | undefined): readonly RemotePlace[] {
  const inode = core.table.get(nodeid);
  if (inode === undefined) return none;
  const known = name === undefined ? inode : inode.children?.get(name)?.inode;
  if (known !== undefined) return placesOf(known);
  const directories = inode.lowerDirs.filter(({ layer }) => layer.isRemote);
  return directories.map((directory) => place(directory, name ?? "", false));
}

const none: readonly RemotePlace[] = [];

function placesOf(inode: Inode): readonly RemotePlace[] {
  if (inode.isDirectory) return remoteDirs(inode).map((directory) => place(directory, "", false));
  const [directory, name] =
    inode.dataDir === undefined ? [inode.lowerDir, inode.lowerName] : [inode.dataDir, inode.dataName];
  if (directory?.layer.isRemote !== true || (inode.hasUpper && !inode.isMetacopy)) return none;
  return [place(directory, name, inode.type === S.IFREG)];
}

function place(directory: LayerDirectory, name: Name, isFile: boolean): RemotePlace {
  return { dirfd: directory.fd, name, isFile };
}

function remoteDirs(inode: Inode): readonly LayerDirectory[] {
  return inode.lowerDirs.filter(({ layer }) => layer.isRemote);
}

/** What another process is to ask such lowers before an operation that wants this. Each is looked at as it is now. */
export function errandsOf(core: Core, demand: Demand): readonly PendingErrand[] {
  if (demand.kind === "empty" || demand.kind === "change-name") {
    const inode = core.table.get(demand.parent)?.children?.get(demand.name)?.inode;
    if (inode === undefined) return [];
    return demand.kind === "empty" ? listErrands(inode) : copyErrands(core, inode, undefined);
  }
  const inode = core.table.get(demand.nodeid);
  if (inode === undefined) return [];
  switch (demand.kind) {
    case "list":
      return listErrands(inode);
    case "attributes":
      return isUncounted(inode) ? listErrands(inode) : [];
    case "readlink":
      return inode.type === S.IFLNK ? textErrand(inode, (at) => ({ kind: "readlink", ...at })) : [];
    case "listxattr":
      return textErrand(inode, (at) => ({ kind: "listxattr", ...at }));
    case "getxattr":
      return textErrand(inode, (at) => ({ kind: "getxattr", attribute: storedName(core, demand.attribute), ...at }));
    case "change":
      return copyErrands(core, inode, demand.upTo);
  }
}

/** A directory whose link count takes a look at lowers that may keep us waiting: asked for without that it is 1. */
function isUncounted(inode: Inode): boolean {
  return inode.isMerged && inode.subdirectories < 0 && inode.lowerDirs.some(({ layer }) => layer.isRemote);
}

/** What was read of a directory for this operation, where its lower may keep us waiting. */
export function answeredEntries(core: Core, directory: LayerDirectory): Result | undefined {
  return directory.layer.isRemote ? core.answers?.entries.get(directory) : undefined;
}

/** Whether all is known that countSubdirectories() will ask. */
export function canCount(core: Core, inode: Inode): boolean {
  return !isUncounted(inode) || remoteDirs(inode).every((directory) => core.answers?.entries.has(directory) === true);
}

function listErrands(inode: Inode): PendingErrand[] {
  return remoteDirs(inode).map((directory) => ({
    errand: { kind: "list", directory: 0, name: "" },
    descriptors: [directory.fd],
    take: (result, answers) => answers.entries.set(directory, result),
  }));
}

/** Where an inode's attributes come from, if that is a lower that may keep us waiting. */
function attributesOf(inode: Inode): { readonly directory: LayerDirectory; readonly name: Name } | undefined {
  if (inode.pin >= 0) return undefined;
  const directory = inode.isDirectory
    ? (inode.upperDir ?? inode.lowerDirs[0])
    : inode.hasUpper
      ? undefined
      : inode.lowerDir;
  if (directory?.layer.isRemote !== true) return undefined;
  return { directory, name: inode.isDirectory ? "" : inode.lowerName };
}

function textErrand(inode: Inode, make: (at: { directory: 0; name: Name }) => Errand): PendingErrand[] {
  const at = attributesOf(inode);
  if (at === undefined) return [];
  const take = (result: Result, answers: Answers): unknown => answers.texts.set(inode, result);
  return [{ errand: make({ directory: 0, name: at.name }), descriptors: [at.directory.fd], take }];
}

/** For copyUp(): the directories that hold it first. */
function copyErrands(core: Core, inode: Inode, upTo: number | undefined): PendingErrand[] {
  const { upper } = core;
  if (upper === undefined) return [];
  const found: PendingErrand[] = [];
  for (let at = inode.isDirectory ? inode : inode.links[0]?.parent; at !== undefined; at = at.links[0]?.parent) {
    if (at.upperDir !== undefined) break;
    if (attributesOf(at) !== undefined && at.links.length > 0) found.unshift(copyErrand(core, upper, at, undefined));
  }
  if (inode.isDirectory) return found;
  if (attributesOf(inode) !== undefined) found.push(copyErrand(core, upper, inode, upTo));
  else if (inode.isMetacopy && upTo !== undefined && inode.dataDir?.layer.isRemote === true)
    found.push(contentErrand(upper, inode, inode.dataDir, upTo));
  return found;
}

function copyErrand(core: Core, upper: Writable, inode: Inode, upTo: number | undefined): PendingErrand {
  const { directory, name } = attributesOf(inode) ?? { directory: upper.layer.rootDir, name: "" };
  const temporary = upper.work.temporaryName();
  const { ownUid, ownGid, hasOwners, dialect } = upper;
  const { dataDir, dataName } = inode;
  const most = upTo ?? Infinity;
  return {
    errand: {
      kind: "copy",
      directory: 0,
      name,
      to: 1,
      temporary,
      upper: { ownUid, ownGid, hasOwners, marks: dialect.prefix ?? "trusted.overlay." },
      mayLeave: upTo === undefined && core.useMetacopy && inode.links.length > 0,
      ...(dataDir !== undefined && { content: { directory: 2, name: dataName } }),
      ...(most !== Infinity && { upTo: most }),
      isSynced: !core.isVolatile,
    },
    descriptors: [directory.fd, upper.work.fd, ...(dataDir === undefined ? [] : [dataDir.fd])],
    take: ({ status, copied }, answers) => answers.copies.set(inode, { status, temporary, upTo: most, copied }),
  };
}

function contentErrand(upper: Writable, inode: Inode, from: LayerDirectory, upTo: number): PendingErrand {
  const temporary = upper.work.temporaryName();
  const upToOf = upTo === Infinity ? {} : { upTo };
  return {
    errand: { kind: "content", directory: 0, name: inode.dataName, to: 1, temporary, ...upToOf, isSynced: false },
    descriptors: [from.fd, upper.work.fd],
    take: ({ status }, answers) => answers.copies.set(inode, { status, temporary, upTo, copied: undefined }),
  };
}
