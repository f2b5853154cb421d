import { E } from "../kernel/abi/errno.ts";
import { RENAME_EXCHANGE, RENAME_NOREPLACE, S } from "../kernel/abi/file.ts";
import {
  closeFd,
  fail,
  linkName,
  must,
  type Name,
  renameName,
  rmdirName,
  stat,
  statName,
  unlinkName,
} from "../kernel/at.ts";
import { listDirectory } from "../kernel/io.ts";
import type { Dialect } from "../layer/dialect/dialect.ts";
import { type LayerDirectory, openDirectoryName } from "../layer/directory.ts";

/** Its entries name what a layer's next user has to know: overlayfs's name for it. */
export const incompatible: Name = "incompat";

/** The directory beside the upper where entries are made before they are renamed to their place. */
export class WorkDirectory {
  readonly directory: LayerDirectory;
  readonly #dialect: Dialect;
  #next = 1;
  #sharedWhiteout: "none" | "made" | "unsupported" = "none";

  constructor(directory: LayerDirectory, dialect: Dialect) {
    this.directory = directory;
    this.#dialect = dialect;
  }

  get fd(): number {
    return this.directory.fd;
  }

  /** The directory that was named, which holds this one and others. */
  get base(): LayerDirectory {
    return this.directory.parent ?? this.directory;
  }

  /** A name that nothing here has. */
  temporaryName(): Name {
    return `#${(this.#next++).toString(16)}`;
  }

  /** Runs `make`, and removes what stands at the temporary name if that throws. */
  withTemporary(make: (name: Name) => void, name = this.temporaryName()): Name {
    try {
      make(name);
    } catch (error) {
      this.discard(name);
      throw error;
    }
    return name;
  }

  /** A whiteout at a free name. */
  placeWhiteout(directory: LayerDirectory, name: Name): void {
    this.announceWhiteouts(directory);
    this.#place(directory.fd, name);
  }

  /** A whiteout here, for a directory that it is to be moved into. */
  makeWhiteout(name: Name, into: LayerDirectory): void {
    this.announceWhiteouts(into);
    this.#place(this.fd, name);
  }

  /** Before a directory of the upper holds its first whiteout. */
  announceWhiteouts(directory: LayerDirectory): void {
    if (!this.#dialect.marksWhiteouts || directory.hasMarkedWhiteouts) return;
    must("mark", directory.name, this.#dialect.announceWhiteouts(directory.fd));
    directory.hasMarkedWhiteouts = true;
  }

  /** One inode serves for all whiteouts where the file system has links. */
  #place(dirfd: number, name: Name): void {
    if (this.#dialect.whiteouts === "beside") {
      must("make whiteout", name, this.#dialect.makeWhiteout(dirfd, name));
      return;
    }
    if (this.#sharedWhiteout === "none") this.#makeShared();
    if (this.#sharedWhiteout === "made") {
      const result = linkName(this.fd, "#whiteout", dirfd, name);
      if (result === 0) return;
      if (result !== -E.MLINK) fail("make whiteout", name, result);
      unlinkName(this.fd, "#whiteout");
      this.#sharedWhiteout = "none";
    }
    if (!this.#dialect.marksWhiteouts || dirfd === this.fd) {
      must("make whiteout", name, this.#dialect.makeWhiteout(dirfd, name));
      return;
    }
    this.withTemporary((temporary) => {
      must("make whiteout", name, this.#dialect.makeWhiteout(this.fd, temporary));
      must("make whiteout", name, renameName(this.fd, temporary, dirfd, name, RENAME_NOREPLACE));
    });
  }

  #makeShared(): void {
    const result = this.#dialect.makeWhiteout(this.fd, "#whiteout");
    if (result !== 0 && result !== -E.EXIST) fail("make whiteout", "", result);
    const probe = this.temporaryName();
    const linked = linkName(this.fd, "#whiteout", this.fd, probe);
    this.#sharedWhiteout = linked === 0 ? "made" : "unsupported";
    if (linked === 0) unlinkName(this.fd, probe);
  }

  /** Puts a whiteout where something stands, in one step; that is then removed. */
  replaceByWhiteout(directory: LayerDirectory, name: Name, kind: "directory" | "file"): void {
    const dirfd = directory.fd;
    if (this.#dialect.whiteouts === "beside") {
      this.#place(dirfd, name); // what stands there wins over it until it goes
      if (kind === "directory") this.removeDirectory(dirfd, name);
      else must("unlink", name, unlinkName(dirfd, name));
      return;
    }
    const temporary = this.withTemporary((temporary) => {
      this.makeWhiteout(temporary, directory);
      const flags = kind === "directory" ? RENAME_EXCHANGE : 0;
      must("make whiteout", name, renameName(this.fd, temporary, dirfd, name, flags));
    });
    if (kind === "directory") this.discard(temporary);
  }

  /** Takes away a whiteout that stands beside a name. */
  dropWhiteout(dirfd: number, name: Name): void {
    const whiteout = this.#dialect.whiteoutName(name);
    const result = whiteout === undefined ? 0 : unlinkName(dirfd, whiteout);
    if (result < 0 && result !== -E.NOENT) fail("remove whiteout", name, result);
  }

  /** Takes an empty directory, which may hold whiteouts, out of the upper. */
  removeDirectory(dirfd: number, name: Name): void {
    const result = rmdirName(dirfd, name);
    if (result === 0) return;
    if (result !== -E.NOTEMPTY && result !== -E.EXIST) fail("rmdir", name, result);
    const temporary = this.temporaryName();
    must("rmdir", name, renameName(dirfd, name, this.fd, temporary, 0));
    this.discard(temporary);
  }

  /** Removes what stands here, and all in it. */
  discard(name: Name): void {
    removeAll(this.fd, name, 0);
  }

  /** Removes a whiteout, or an empty directory with whiteouts, from elsewhere. */
  discardFrom(dirfd: number, name: Name): void {
    removeAll(dirfd, name, 0);
  }

  /** Removes what a killed server has left. */
  clean(): void {
    const names: Name[] = [];
    listDirectory(this.fd, (name) => {
      if (name !== "." && name !== ".." && name !== incompatible) names.push(name);
    });
    for (const name of names) this.discard(name);
  }
}

/** The work directory is ours, but what was renamed into it came from the upper: nothing is followed. */
function removeAll(dirfd: number, name: Name, depth: number): void {
  const result = unlinkName(dirfd, name);
  if (result === 0 || result === -E.NOENT) return;
  if (statName(dirfd, name) !== 0 || stat.type !== S.IFDIR || depth > 200) fail("remove", name, result);
  const fd = must("remove", name, openDirectoryName(dirfd, name));
  try {
    const names: Name[] = [];
    listDirectory(fd, (name) => {
      if (name !== "." && name !== "..") names.push(name);
    });
    for (const entry of names) removeAll(fd, entry, depth + 1);
  } finally {
    closeFd(fd);
  }
  must("remove", name, rmdirName(dirfd, name));
}
