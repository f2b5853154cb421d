import { O, S, STATX_SIZE } from "../kernel/abi/file.ts";
import { isErrno } from "../kernel/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { findAt, openAt, openDirectory, readAll } from "../kernel/file.ts";
import { statInto, typesOf } from "../kernel/trusted.ts";
import { isUsers, machine, places } from "../places.ts";
import { isPermittedName } from "./names.ts";
import type { Problem } from "./problem.ts";

/** Where schroot's configuration is, and so ours. */
export const configDirectory = places.config;
/** The machine's, whoever asks. */
export const machineDirectory = machine.config;

export interface ConfigFile {
  readonly file: string;
  readonly content: Buffer;
}

export interface ConfigFiles {
  readonly files: readonly ConfigFile[];
  /** Files that can't be read or mustn't be trusted. */
  readonly problems: readonly Problem[];
}

/** Reads schroot.conf, then the files of chroot.d by name, unparsed. What is missing is empty. */
export function readConfigFiles(directory: string): ConfigFiles {
  const files: ConfigFile[] = [];
  const problems: Problem[] = [];
  for (const { file, isLink } of listConfigFiles(directory, problems)) {
    const found = readTrusted(file);
    if (found === undefined) {
      if (isLink) problems.push({ file, line: 0, message: "the link leads nowhere" });
    } else if ("content" in found) files.push(found);
    else problems.push(found);
  }
  return { files, problems };
}

/** All that readConfigFiles() looks at. */
export function configPaths(directory: string): string[] {
  return [`${directory}/chroot.d`, ...listConfigFiles(directory, []).map(({ file }) => file)];
}

function listConfigFiles(directory: string, problems: Problem[]): { file: string; isLink: boolean }[] {
  const listed = [{ file: `${directory}/schroot.conf`, isLink: false }];
  for (const { name, type } of listDirectory(`${directory}/chroot.d`, problems)) {
    if (!isPermittedName(name)) continue;
    const file = `${directory}/chroot.d/${name}`;
    // Neither devices nor pipes are even opened: that may already do something.
    if (type !== S.IFREG && type !== S.IFLNK) problems.push(notRegular(file));
    else listed.push({ file, isLink: type === S.IFLNK });
  }
  return listed;
}

/** Names in their order, with what they are (S_IFMT of inode(7)). */
function listDirectory(directory: string, problems: Problem[]): { name: string; type: number }[] {
  try {
    using dir = openDirectory(directory);
    const types = typesOf(dir);
    return [...types.keys()].toSorted().map((name) => {
      const type = types.get(name) ?? 0;
      // DT_* of readdir(3) are the same numbers, 12 bits lower; 0: this file system doesn't say.
      return { name, type: type === 0 ? (findAt(dir, name)?.mode ?? 0) & S.IFMT : type << 12 };
    });
  } catch (error) {
    if (isErrno(error, "EACCES")) problems.push({ file: directory, line: 0, message: "permission denied" });
    else if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
    return [];
  }
}

/** The content of a file that only root, or the user whose Fallthru it is, can change; why not; or nothing where it isn't there. */
export function readTrusted(file: string): ConfigFile | Problem | undefined {
  let opened: Fd;
  try {
    opened = openAt(null, file, O.RDONLY | O.NONBLOCK); // a FIFO behind a link doesn't hold us up
  } catch (error) {
    if (isErrno(error, "EACCES")) return { file, line: 0, message: "permission denied" };
    if (isErrno(error, "ENXIO")) return notRegular(file);
    if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) throw error;
    return undefined;
  }
  using open = opened;
  statInto(open, "", attributes);
  const [mode, uid, size] = [(words[7] ?? 0) & 0xffff, words[5], words[10]];
  if ((mode & S.IFMT) !== S.IFREG) return notRegular(file);
  const isMachines = !isUsers || file.startsWith(`${machineDirectory}/`);
  if (uid !== (isMachines ? superuser : process.geteuid?.())) {
    const owner = isMachines ? "root" : "you";
    return {
      file,
      line: 0,
      message: `not read, as user ${uid} owns it, not ${owner}`,
      hint: `chown ${isMachines ? owner : "$USER"} ${file}`,
    };
  }
  if ((mode & 0o002) !== 0) {
    return { file, line: 0, message: "not read, as everybody may write to it", hint: `chmod o-w ${file}` };
  }
  return { file, content: readAll(open, size) };
}

const superuser = 0;

/** Of one file after the other, of which there may be hundreds: struct statx, and the same in numbers of 32 bits. */
const words = new Uint32Array(STATX_SIZE / 4);
const attributes = new Uint8Array(words.buffer);

function notRegular(file: string): Problem {
  return { file, line: 0, message: "is not a regular file" };
}
