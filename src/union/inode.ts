import { S } from "../kernel/abi/file.ts";
import { closeFd, type Name } from "../kernel/at.ts";
import type { Known, KnownInodes, Pin } from "./known.ts";
import type { LayerDirectory } from "../layer/directory.ts";

/** One name of an inode that has been looked up: what the kernel calls a dentry. */
export interface Link {
  readonly inode: Inode;
  parent: Inode;
  name: Name;
  /** The name stands in the upper too; a further name of an indexed inode may not. */
  isUpper: boolean;
}

/** A file or directory of the union that the kernel remembers. */
export class Inode {
  readonly nodeid: number;
  /** st_ino, for good: of the lowest layer's inode that this one came from. */
  readonly ino: number;
  /** S_IF bits. */
  readonly type: number;
  /** How many times the kernel was told of it, less what it has forgotten. */
  lookups = 0;
  opens = 0;
  readonly links: Link[] = [];

  // Directories: what is merged, from the top.
  upperDir: LayerDirectory | undefined = undefined;
  lowerDirs: readonly LayerDirectory[] = [];
  children: Map<Name, Link> | undefined = undefined;
  /** Which of many lowers have which names, once that was read. */
  lowerNames: ReadonlyMap<Name, readonly LayerDirectory[]> | undefined = undefined;
  lowerLookups = 0;
  isImpure = false;
  hasDefaultAcl = false;
  /** Of a directory that is in the upper: see protection.ts. */
  protection: Name = "";
  /** New entries take its group; undefined: not known. */
  inheritsGroup: boolean | undefined = undefined;
  /** How many directories a merged one has; −1: not counted. */
  subdirectories = -1;
  /** Grows with each change of the entries. */
  version = 0;

  // Others: the file in the upper, and in a lower its origin, where it stays readable.
  hasUpper = false;
  upperIno = 0;
  hasOriginMark = false;
  lowerDir: LayerDirectory | undefined = undefined;
  lowerName: Name = "";
  /** The upper holds the attributes alone; the content is in a lower. */
  isMetacopy = false;
  dataDir: LayerDirectory | undefined = undefined;
  dataName: Name = "";
  /** Its content was opened in a lower, and is no other layer's. */
  isReadable = false;
  /** It has no `security.capability`, which the kernel asks for at the first write and at each execve(2). */
  lacksCapability = false;
  /** Its name in the index: several lower names share this upper inode. */
  indexEntry: Name | undefined = undefined;
  /** The union's link count less the upper inode's, of indexed ones. */
  nlinkExcess = 0;

  /** The `redirect` mark of the upper, directories' and metacopies'. */
  redirect: Name | undefined = undefined;
  /** An O_PATH descriptor of an upper inode that has lost its last name, else −1. */
  pin = -1;
  isDead = false;
  /** Its last name went when nobody had it open and room was short: nothing keeps it. */
  isLetGo = false;
  /** An empty file that stands for a device 0:0. */
  readonly isNestedWhiteout: boolean;

  constructor(nodeid: number, ino: number, type: number, isNestedWhiteout: boolean) {
    this.isNestedWhiteout = isNestedWhiteout;
    this.nodeid = nodeid;
    this.ino = ino;
    this.type = type;
    if (type === S.IFDIR) this.children = new Map();
  }

  get isDirectory(): boolean {
    return this.type === S.IFDIR;
  }

  get isMerged(): boolean {
    return this.lowerDirs.length > (this.upperDir === undefined ? 1 : 0);
  }

  /** It has come from below: the directory of the upper that holds it is to be marked impure. */
  get hasOrigin(): boolean {
    return this.isDirectory ? this.upperDir !== undefined && this.lowerDirs.length > 0 : this.hasOriginMark;
  }

  /** One of a directory's entries has come or gone: what was counted and read of it is out of date. */
  changed(entry: Inode, count: 1 | 0 | -1): void {
    this.version++;
    if (entry.isDirectory && this.subdirectories >= 0) this.subdirectories += count;
  }

  addLink(parent: Inode, name: Name, isUpper: boolean): Link {
    const link = { inode: this, parent, name, isUpper };
    this.links.push(link);
    parent.children?.set(name, link);
    return link;
  }

  removeLink(link: Link): void {
    const at = this.links.indexOf(link);
    if (at >= 0) this.links.splice(at, 1);
    if (link.parent.children?.get(link.name) === link) link.parent.children.delete(link.name);
  }

  moveLink(link: Link, parent: Inode, name: Name): void {
    if (link.parent.children?.get(link.name) === link) link.parent.children.delete(link.name);
    link.parent = parent;
    link.name = name;
    parent.children?.set(name, link);
  }

  /** For messages. */
  get path(): Name {
    const link = this.links[0];
    if (link === undefined) return this.nodeid === 1 ? "" : `#${this.nodeid}`;
    return `${link.parent.path}/${link.name}`;
  }
}

const NEVER_FORGOTTEN = 2 ** 40;

/** All inodes that the kernel remembers, by what it calls them and by what users see. */
export class InodeTable {
  readonly #byNodeid = new Map<number, Inode>();
  readonly #byIno = new Map<number, Inode>();
  /** What the kernel knows from a server before. */
  #known: KnownInodes | undefined;
  #nextTemporary: number;

  /** @param firstTemporary numbers from here on are no inode's st_ino */
  constructor(firstTemporary: number) {
    this.#nextTemporary = firstTemporary;
  }

  get size(): number {
    return this.#byNodeid.size;
  }

  get(nodeid: number): Inode | undefined {
    return this.#byNodeid.get(nodeid);
  }

  withIno(ino: number): Inode | undefined {
    return this.#byIno.get(ino);
  }

  all(): IterableIterator<Inode> {
    return this.#byNodeid.values();
  }

  /** A new inode; its nodeid is its st_ino where that is free. */
  make(ino: number, type: number, isNestedWhiteout = false, nodeid = this.#nodeidFor(ino)): Inode {
    const inode = new Inode(nodeid, ino, type, isNestedWhiteout);
    this.#byNodeid.set(nodeid, inode);
    this.#byIno.set(ino, inode);
    return inode;
  }

  /** Takes over what the kernel was told by another server: a number that is in use is given to nothing else. */
  reserve(known: Known): void {
    this.#nextTemporary = Math.max(this.#nextTemporary, known.inodes.highest + 1);
    this.#known = known.inodes;
    for (const nodeid of known.inodes.nameless()) this.#bury(nodeid, known.pins?.get(nodeid));
  }

  /**
   * A directory that the kernel knows from a server before stays what it was, also where other layers make it up now. It
   * is never forgotten: the kernel may give back what it had counted before after it has looked it up anew.
   * @param ino what it would be without that
   * @returns a new inode; undefined where the kernel knows none, or this very one, or it is here already
   */
  makeKnownDirectory(parent: Inode, name: Name, ino: number): Inode | undefined {
    const known = this.#known?.at(parent.nodeid, name);
    if (known === undefined || !known.isDirectory || known.ino === ino) return undefined;
    if (this.#byNodeid.has(known.nodeid) || this.#byIno.has(known.ino)) return undefined;
    const inode = this.make(known.ino, S.IFDIR, false, known.nodeid);
    inode.lookups = NEVER_FORGOTTEN;
    return inode;
  }

  /** An inode that has no name any more: of one that isn't open nothing is left but its number. */
  #bury(nodeid: number, pin: Pin | undefined): void {
    const inode = new Inode(nodeid, nodeid, S.IFREG, false);
    inode.isDead = true;
    inode.pin = pin?.fd ?? -1;
    inode.hasUpper = pin?.isLower === false;
    inode.lookups = 1;
    this.#byNodeid.set(nodeid, inode);
  }

  #nodeidFor(ino: number): number {
    const reserved = this.#known?.nodeidOf(ino);
    if (reserved !== undefined && !this.#byNodeid.has(reserved)) return reserved;
    return ino <= 1 || this.#byNodeid.has(ino) ? this.temporary() : ino;
  }

  temporary(): number {
    return this.#nextTemporary++;
  }

  /** No longer what a name with this st_ino leads to. */
  hide(inode: Inode): void {
    if (this.#byIno.get(inode.ino) === inode) this.#byIno.delete(inode.ino);
  }

  show(inode: Inode): void {
    this.#byIno.set(inode.ino, inode);
  }

  /** Frees an inode that nobody holds any more, and then its parents. */
  release(inode: Inode): void {
    if (inode.lookups > 0 || inode.opens > 0 || inode.nodeid === 1 || (inode.children?.size ?? 0) > 0) return;
    if (this.#byNodeid.get(inode.nodeid) !== inode) return;
    this.#byNodeid.delete(inode.nodeid);
    this.hide(inode);
    if (inode.pin >= 0) closeFd(inode.pin);
    inode.pin = -1;
    inode.upperDir?.close();
    for (const directory of inode.lowerDirs) if (directory.parent !== undefined) directory.close();
    const links = inode.links.splice(0);
    for (const link of links) {
      if (link.parent.children?.get(link.name) === link) link.parent.children.delete(link.name);
      this.release(link.parent);
    }
  }
}
