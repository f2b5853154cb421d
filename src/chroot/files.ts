import { closeSync, constants, type Dirent, fstatSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { isErrno } from "../kernel/error.ts";
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

/**
 * Reads schroot.conf, then the files of chroot.d by name, unparsed. What is missing is empty. It uses node:fs, which
 * costs a quarter of our own calls here (500 files: 2 ms), on paths that only the administrator can change.
 */
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

function listConfigFiles(directory: string, problems: Problem[]): { file: string; isLink: boolean }[] {
  const listed = [{ file: `${directory}/schroot.conf`, isLink: false }];
  for (const entry of listDirectory(`${directory}/chroot.d`, problems)) {
    if (!isPermittedName(entry.name)) continue;
    const file = `${directory}/chroot.d/${entry.name}`;
    if (entry.isDirectory() || entry.isFIFO() || entry.isSocket() || isDevice(entry)) problems.push(notRegular(file));
    else listed.push({ file, isLink: entry.isSymbolicLink() });
  }
  return listed;
}

function listDirectory(directory: string, problems: Problem[]): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    if (isErrno(error, "EACCES")) problems.push({ file: directory, line: 0, message: "permission denied" });
    else if (!isErrno(error, "ENOENT", "ENOTDIR")) throw error;
    return [];
  }
}

/** Devices aren't even opened: that may already do something. */
function isDevice(entry: Dirent): boolean {
  return entry.isCharacterDevice() || entry.isBlockDevice();
}

/** The content of a file that only root, or the user whose Fallthru it is, can change; why not; or nothing where it isn't there. */
export function readTrusted(file: string): ConfigFile | Problem | undefined {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK); // a FIFO behind a link doesn't hold us up
  } catch (error) {
    if (isErrno(error, "EACCES")) return { file, line: 0, message: "permission denied" };
    if (isErrno(error, "ENXIO")) return notRegular(file);
    if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) throw error;
    return undefined;
  }
  try {
    const { mode, uid } = fstatSync(fd);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) return notRegular(file);
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
    return { file, content: readWhole(fd) };
  } finally {
    closeSync(fd);
  }
}

/** Hundreds of small files: with readFileSync() they take twice as long. */
function readWhole(fd: number): Buffer {
  const length = readSync(fd, buffer, 0, buffer.length, null);
  const start = Buffer.from(buffer.subarray(0, length));
  return length < buffer.length ? start : Buffer.concat([start, readFileSync(fd)]);
}

const superuser = 0;
const buffer = Buffer.allocUnsafe(16_384);

function notRegular(file: string): Problem {
  return { file, line: 0, message: "is not a regular file" };
}
