import { S } from "../kernel/abi/file.ts";
import { closeFd, type Name, stat, statFd } from "../kernel/at.ts";
import { collectGarbage } from "../kernel/self.ts";
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
  /** See generationOf(); −1: nobody has asked yet. */
  generation = -1;
  hasOriginMark = false;
  lowerDir: LayerDirectory | undefined = undefined;
  lowerName: Name = "";
  /** The upper holds the attributes alone; the content is in a lower. */
  isMetacopy = false;
  dataDir: LayerDirectory | undefined = undefined;
  dataName: Name = "";
  /** An O_PATH descriptor of that content, where a server before has kept it, else −1. */
  dataPin = -1;
  /** Of that content, of 512 bytes; −1: not asked yet. */
  dataBlocks = -1;
  /** Its content was opened in a lower, and is no other layer's. */
  isReadable = false;
  /** Extended attributes that it is known not to have. The kernel asks for `security.capability` at each chown(2), execve(2) and first write. */
  lacks: "nothing" | "capability" | "attributes" = "nothing";
  /** Its name in the index: several lower names share this upper inode. */
  indexEntry: Name | undefined = undefined;
  /** The union's link count less the upper inode's, of indexed ones. */
  nlinkExcess = 0;

  /** The `redirect` mark of the upper, directories' and metacopies'. */
  redirect: Name | undefined = undefined;
  /** An O_PATH descriptor of an upper inode that has lost its last name, else −1. */
  pin = -1;
  /** The pin is of a lower's directory, that a server before has kept: what is changed is a copy of it. */
  isPinLower = false;
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

  closePins(): void {
    for (const fd of [this.pin, this.dataPin]) if (fd >= 0) closeFd(fd);
    this.pin = -1;
    this.dataPin = -1;
  }

  /** For messages. */
  get path(): Name {
    const link = this.links[0];
    if (link === undefined) return this.nodeid === 1 ? "" : `#${this.nodeid}`;
    return `${link.parent.path}/${link.name}`;
  }
}

const NEVER_FORGOTTEN = 2 ** 40;

/** How many files are remembered by default. Each takes 1.2 KiB. */
const MOST_FILES = 32_768;
/** After so many were parked the engine is told to collect: by itself it lets its heap grow to twice as much. */
const COLLECT_AFTER = 65_536;

/** All inodes that the kernel remembers and that are remembered here, by what it calls them and by what users see. */
export class InodeTable {
  readonly #directories = new Map<number, Inode>();
  /** All others. */
  readonly #files = new Map<number, Inode>();
  readonly #byIno = new Map<number, Inode>();
  readonly #told: KnownInodes | undefined;
  readonly #mostFiles: number;
  /** What the kernel knows and may not be remembered here: from a server before, or parked. */
  #known: KnownInodes | undefined;
  /** How many look-ups of those that are parked the kernel counts, where it isn't one. */
  readonly #parked = new Map<number, number>();
  #parkAbove: number;
  #uncollected = 0;
  readonly #firstTemporary: number;
  #nextTemporary: number;

  /**
   * @param firstTemporary numbers from here on are no inode's st_ino
   * @param told all that the kernel was told; with it, about as many files as `mostFiles` are remembered: see park()
   */
  constructor(firstTemporary: number, told?: KnownInodes, mostFiles = MOST_FILES) {
    this.#firstTemporary = firstTemporary;
    this.#nextTemporary = firstTemporary;
    this.#told = told;
    this.#mostFiles = mostFiles;
    this.#parkAbove = mostFiles;
  }

  get size(): number {
    return this.#files.size + this.#directories.size;
  }

  /** What the kernel knows beside what is here; undefined where that is all. */
  get known(): KnownInodes | undefined {
    return this.#known;
  }

  get(nodeid: number): Inode | undefined {
    return this.#files.get(nodeid) ?? this.#directories.get(nodeid);
  }

  /** What a name leads to, as far as the kernel was told. */
  nodeidAt(parent: number, name: Name): number | undefined {
    return this.get(parent)?.children?.get(name)?.inode.nodeid ?? this.#known?.at(parent, name)?.nodeid;
  }

  /** The directory that one of an inode's names is in, as far as the kernel was told. */
  parentOf(nodeid: number): number | undefined {
    const inode = this.get(nodeid);
    return inode === undefined ? this.#known?.get(nodeid)?.parent : inode.links[0]?.parent.nodeid;
  }

  withIno(ino: number): Inode | undefined {
    return this.#byIno.get(ino);
  }

  *all(): IterableIterator<Inode> {
    yield* this.#files.values();
    yield* this.#directories.values();
  }

  #alike({ isDirectory }: Inode): Map<number, Inode> {
    return isDirectory ? this.#directories : this.#files;
  }

  /** A new inode; its nodeid is its st_ino where that is free. */
  make(ino: number, type: number, isNestedWhiteout = false, nodeid = this.#nodeidFor(ino)): Inode {
    const inode = new Inode(nodeid, ino, type, isNestedWhiteout);
    this.#alike(inode).set(nodeid, inode);
    this.#byIno.set(ino, inode);
    return inode;
  }

  /** Takes over what the kernel was told by another server: a number that is in use is given to nothing else. */
  reserve(known: Known): void {
    this.#nextTemporary = Math.max(this.#nextTemporary, known.inodes.highest + 1);
    this.#known = known.inodes;
    const pins = new Map(known.pins);
    for (const [nodeid, ino] of known.inodes.nameless()) {
      this.#bury(nodeid, ino, pins.get(nodeid));
      pins.delete(nodeid);
    }
    // What has a name again is found by that.
    for (const { fd, content = -1 } of pins.values()) {
      closeFd(fd);
      if (content >= 0) closeFd(content);
    }
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
    if (this.get(known.nodeid) !== undefined || this.#byIno.has(known.ino)) return undefined;
    const inode = this.make(known.ino, S.IFDIR, false, known.nodeid);
    inode.lookups = NEVER_FORGOTTEN;
    return inode;
  }

  /** An inode that has no name any more: of one that isn't open nothing is left but its number. */
  #bury(nodeid: number, ino: number, pin: Pin | undefined): void {
    const type = pin === undefined || statFd(pin.fd) < 0 ? S.IFREG : stat.type;
    const inode = new Inode(nodeid, ino, type, false);
    inode.isDead = true;
    inode.pin = pin?.fd ?? -1;
    inode.isPinLower = pin?.isLower === true && type === S.IFDIR;
    inode.hasUpper = pin?.isLower === false && type !== S.IFDIR;
    inode.dataPin = pin?.content ?? -1;
    inode.isMetacopy = inode.dataPin >= 0;
    inode.lookups = 1;
    this.#alike(inode).set(nodeid, inode);
  }

  #nodeidFor(ino: number): number {
    const reserved = this.#known?.nodeidOf(ino);
    if (reserved !== undefined && this.get(reserved) === undefined) return reserved;
    return ino <= 1 || this.get(ino) !== undefined ? this.temporary() : ino;
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

  /**
   * Where very many files are remembered, those that were told of first are so no longer: as after a server before, they are
   * found again by the name that the kernel knows them by. An engine's heap of a million takes half a second to be freed
   * when its process is killed, and only then is the next server started. Not in the midst of an operation.
   * @param isInUse of files that are to stay
   */
  park(isInUse: (inode: Inode) => boolean): void {
    if (this.#told === undefined || this.#files.size <= this.#parkAbove) return;
    this.#known = this.#told;
    const [enough, all] = [this.#mostFiles * 0.75, this.#files.size];
    let seen = 0;
    for (const inode of this.#files.values()) {
      if (this.#files.size <= enough || ++seen > all) break;
      this.#files.delete(inode.nodeid);
      if (this.#canBeFoundAgain(inode) && !isInUse(inode)) this.#park(inode);
      else this.#files.set(inode.nodeid, inode); // behind the others
    }
    // Where many are in use, not at every operation.
    this.#parkAbove = Math.max(this.#mostFiles, this.#files.size + this.#mostFiles / 4);
    this.#uncollected += all - this.#files.size;
    if (this.#uncollected < COLLECT_AFTER) return;
    this.#uncollected = 0;
    collectGarbage();
  }

  #canBeFoundAgain({ nodeid, ino, links, lookups, opens, pin, isDead, isLetGo, indexEntry }: Inode): boolean {
    const [link, another] = links;
    if (link === undefined || another !== undefined || lookups === 0 || opens > 0 || pin >= 0) return false;
    if (isDead || isLetGo || indexEntry !== undefined || ino >= this.#firstTemporary) return false;
    // One that came by its handle may have been forgotten before.
    const known = this.#told?.get(nodeid);
    return known !== undefined && known.parent === link.parent.nodeid && known.name === link.name;
  }

  #park(inode: Inode): void {
    if (inode.lookups !== 1) this.#parked.set(inode.nodeid, inode.lookups);
    this.hide(inode);
    for (const link of inode.links.slice()) inode.removeLink(link);
  }

  /** It is remembered again. @returns how many look-ups of it the kernel counts, as far as that is known */
  unpark(nodeid: number): number {
    const count = this.#parked.get(nodeid) ?? 1;
    this.#parked.delete(nodeid);
    return count;
  }

  /** @returns whether the kernel, which gives back so many look-ups of one that isn't remembered here, counts none any more */
  forgetParked(nodeid: number, count: number): boolean {
    const left = this.unpark(nodeid) - count;
    if (left > 0) this.#parked.set(nodeid, left);
    return left <= 0;
  }

  /** Frees an inode that nobody holds any more, and then its parents. */
  release(inode: Inode): void {
    if (inode.lookups > 0 || inode.opens > 0 || inode.nodeid === 1 || (inode.children?.size ?? 0) > 0) return;
    const alike = this.#alike(inode);
    if (alike.get(inode.nodeid) !== inode) return;
    alike.delete(inode.nodeid);
    this.hide(inode);
    inode.closePins();
    inode.upperDir?.close();
    for (const directory of inode.lowerDirs) if (directory.parent !== undefined) directory.close();
    const links = inode.links.splice(0);
    for (const link of links) {
      if (link.parent.children?.get(link.name) === link) link.parent.children.delete(link.name);
      this.release(link.parent);
    }
  }
}
