import { E } from "../../kernel/abi/errno.ts";
import { closeFd, fail, must, type Name, stat, statFd, takeAttr } from "../../kernel/at.ts";
import { isErrno } from "../../kernel/error.ts";
import type { Fd } from "../../kernel/fd.ts";
import type { Attr } from "../../kernel/file.ts";
import { listOpened, SEEK, seek } from "../../kernel/io.ts";
import type { Dialect, DirectoryMarks } from "../../layer/dialect/dialect.ts";
import { OverlayDialect } from "../../layer/dialect/overlay.ts";
import { openDirectoryName } from "../../layer/directory.ts";
import { type AttributeNames, attributesOf } from "./attributes.ts";
import { join } from "./names.ts";
import type { Detail } from "./types.ts";
import { plainFile, type UpperDirectory, type UpperEntry, type UpperFile, UpperReader } from "./upper.ts";

/**
 * An upper in which no directory was moved is compared while it is read: nothing of it has to be kept, and of most files
 * nothing but their attributes is asked.
 */

/**
 * A directory of the upper, opened where that is needed: of most only what was read of them before is. Fields of what there are
 * thousands of are set one by one: together they take an array.
 */
export class OpenLater {
  readonly #parent: OpenLater | undefined;
  readonly #name: Name;
  #fd: number;

  constructor(parent: OpenLater | undefined, name: Name, fd = -1) {
    this.#parent = parent;
    this.#name = name;
    this.#fd = fd;
  }

  /** @throws {KernelError} ENOENT: it isn't there any more */
  get fd(): number {
    if (this.#fd >= 0 || this.#parent === undefined) return this.#fd;
    const fd = openDirectoryName(this.#parent.fd, this.#name);
    // What took its place meanwhile comes with the next look.
    if (fd < 0) fail("open", this.#name, fd === -E.NOTDIR || fd === -E.LOOP ? -E.NOENT : fd);
    this.#fd = fd;
    return fd;
  }

  get path(): Name {
    return this.#parent === undefined ? "" : join(this.#parent.path, this.#name);
  }

  close(): void {
    if (this.#parent !== undefined && this.#fd >= 0) closeFd(this.#fd);
    this.#fd = -1;
  }
}

/** Thrown where a directory of the upper says that it lies elsewhere below: then the upper has to be read whole first. */
export class Moved extends Error {}

/** A directory of the upper that is read when it is come to. Whoever opens it closes it. */
export class VisitedDirectory extends OpenLater implements UpperDirectory {
  readonly kind = "directory";
  readonly name: Name;
  readonly attr: Attr;
  readonly redirect = undefined;
  readonly #visit: Visit;
  #attributes: AttributeNames = "none possible";
  #marks: DirectoryMarks | undefined;

  constructor(visit: Visit, parent: VisitedDirectory | undefined, name: Name, attr: Attr, fd = -1) {
    super(parent, name, fd);
    this.#visit = visit;
    this.name = name;
    this.attr = attr;
  }

  /**
   * Opens it and reads what it says of itself.
   * @returns false where it isn't there any more
   * @throws {Moved}
   */
  open(): boolean {
    try {
      this.#attributes = attributesOf(this.fd, "");
    } catch (error) {
      if (isErrno(error, "ENOENT")) return false;
      throw error;
    }
    const marks = this.#visit.reader.directoryMarks(this.fd, this.#attributes);
    if (marks.redirect !== undefined && !marks.isOpaque && this.name !== "") throw new Moved();
    this.#marks = marks;
    return true;
  }

  get isOpaque(): boolean {
    return this.#marks?.isOpaque === true;
  }

  get attributes(): AttributeNames {
    return this.#attributes;
  }

  /** Read anew: asked for once, while it is open. */
  get children(): readonly UpperEntry[] {
    const marks = this.#marks;
    return marks === undefined ? [] : this.#visit.children(this, marks);
  }
}

/** A file of the upper whose marks are read where they are asked for, while its directory is open. */
class VisitedFile implements UpperFile {
  readonly kind = "file";
  readonly name: Name;
  readonly attr: Attr;
  readonly #reader: UpperReader;
  readonly #directory: VisitedDirectory;
  #read: UpperFile | undefined;

  constructor(reader: UpperReader, directory: VisitedDirectory, name: Name, attr: Attr) {
    this.#reader = reader;
    this.#directory = directory;
    this.name = name;
    this.attr = attr;
  }

  get #file(): UpperFile {
    return (this.#read ??= readMarked(this.#reader, this.#directory, this.name, this.attr));
  }
  get isMetacopy(): boolean {
    return this.#file.isMetacopy;
  }
  get redirect(): Name | undefined {
    return this.#file.redirect;
  }
  get hasOrigin(): boolean {
    return this.#file.hasOrigin;
  }
  get attributes(): AttributeNames | undefined {
    return this.#file.attributes;
  }
}

function readMarked(reader: UpperReader, directory: VisitedDirectory, name: Name, attr: Attr): UpperFile {
  try {
    return reader.marked(directory.fd, directory, name, attr);
  } catch (error) {
    // It has just gone, as whoever looks at more of it will find.
    if (isErrno(error, "ENOENT")) return plainFile("unmarked", name, attr);
    throw error;
  }
}

/** What is known of an upper while it is read. */
class Visit {
  readonly reader: UpperReader;
  readonly #detail: Detail;
  /** overlayfs deletes by further names of one device, which has this inode number. */
  #whiteout: { readonly device: Attr["dev"]; readonly high: number; readonly low: number } | undefined;

  constructor(reader: UpperReader, detail: Detail) {
    [this.reader, this.#detail] = [reader, detail];
  }

  /** What is in an open directory, sorted by name. */
  children(directory: VisitedDirectory, marks: DirectoryMarks): UpperEntry[] {
    const names: Name[] = [];
    let deleted: Set<Name> | undefined;
    const result = listOpened(directory.fd, (name, high, low, type) => {
      if (name === "." || name === "..") return;
      names.push(name);
      if (type === DT_CHR && this.#isWhiteout(directory.attr, high, low)) (deleted ??= new Set()).add(name);
    });
    if (result < 0) fail("readdir", directory.path, result);
    const entries: UpperEntry[] = [];
    // As bytes: each character is one.
    for (const name of names.toSorted()) {
      const entry = deleted?.has(name) === true ? whiteout(name) : this.#entry(directory, name, marks);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }

  #entry(directory: VisitedDirectory, name: Name, marks: DirectoryMarks): UpperEntry | undefined {
    const kind = this.reader.kindOf(directory.fd, directory, name, marks);
    if (kind === "gone") return undefined;
    if (kind === "whiteout") {
      if (stat.isWhiteoutDevice && stat.nlink > 1)
        this.#whiteout = { device: takeAttr().dev, high: stat.inoHigh, low: stat.inoLow };
      return whiteout(name);
    }
    const attr = takeAttr();
    if (kind === "directory") return new VisitedDirectory(this, directory, name, attr);
    if (kind !== "marked") return plainFile(kind, name, attr);
    // Of all of them their attributes will be asked for.
    if (this.#detail === "all") return readMarked(this.reader, directory, name, attr);
    return new VisitedFile(this.reader, directory, name, attr);
  }

  #isWhiteout({ dev }: Attr, high: number, low: number): boolean {
    const known = this.#whiteout;
    if (known === undefined || known.low !== low || known.high !== high) return false;
    return known.device.major === dev.major && known.device.minor === dev.minor;
  }
}

const DT_CHR = 2;

function whiteout(name: Name): UpperEntry {
  return { kind: "whiteout", name };
}

/** The top of an upper, to be read as it is come to; undefined where that can't be: the upper is of another format. */
export function visitUpper(root: Fd, dialect: Dialect, detail: Detail): VisitedDirectory | undefined {
  if (!(dialect instanceof OverlayDialect)) return undefined;
  must("stat", root.path, statFd(root.number));
  const attr = takeAttr();
  // It may have been read before.
  must("seek", root.path, seek(root.number, 0, SEEK.SET));
  const top = new VisitedDirectory(new Visit(new UpperReader(dialect), detail), undefined, "", attr, root.number);
  return top.open() ? top : undefined;
}
