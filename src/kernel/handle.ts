import { type Name, nameBytes, result as outcome } from "./at.ts";
import { AT, O } from "./abi/file.ts";
import { control } from "./io.ts";
import { hot } from "./libc.ts";

const nameToHandleAt_ = hot("name_to_handle_at", "int", ["int", "void *", "void *", "void *", "int"]);
const openByHandleAt_ = hot("open_by_handle_at", "int", ["int", "void *", "int"]);

const MAX_HANDLE_SZ = 128;
const handleBuffer = Buffer.alloc(8 + MAX_HANDLE_SZ);
const mountId = Buffer.alloc(8);

/** What a file system calls an inode, for good: struct file_handle's type and bytes. */
export interface FileHandle {
  readonly type: number;
  readonly bytes: Buffer;
}

/**
 * @param use `identify`: a handle will do that nobody can open the inode by; some file systems have no other
 * @returns the handle, or −errno: EOPNOTSUPP where the file system has none
 * @see name_to_handle_at(2)
 */
export function handleOf(dirfd: number, name: Name, use: "open" | "identify" = "open"): FileHandle | number {
  handleBuffer.writeUInt32LE(MAX_HANDLE_SZ, 0);
  const flags = (name === "" ? AT.EMPTY_PATH : 0) | (use === "identify" ? AT.HANDLE_FID : 0);
  const result = outcome(nameToHandleAt_(dirfd, nameBytes(name), handleBuffer, mountId, flags));
  if (result < 0) return result;
  const length = handleBuffer.readUInt32LE(0);
  return { type: handleBuffer.readInt32LE(4), bytes: Buffer.from(handleBuffer.subarray(8, 8 + length)) };
}

/**
 * Opens an inode by its handle, as O_PATH.
 * @param mount any descriptor of the file system
 * @returns a descriptor, or −errno: ESTALE it is gone; EPERM without CAP_DAC_READ_SEARCH
 * @see open_by_handle_at(2)
 */
export function openHandle(mount: number, handle: FileHandle): number {
  if (handle.bytes.length > MAX_HANDLE_SZ) return -116;
  handleBuffer.writeUInt32LE(handle.bytes.length, 0);
  handleBuffer.writeInt32LE(handle.type, 4);
  handle.bytes.copy(handleBuffer, 8);
  return outcome(openByHandleAt_(mount, handleBuffer, O.PATH | O.CLOEXEC));
}

const FS_IOC_GETFSUUID = 0x80111500; // include/uapi/linux/fs.h: _IOR(0x15, 0, struct fsuuid2), Linux ≥ 6.9

/** The file system's UUID (16 bytes), or undefined where it has none or the kernel doesn't tell. */
export function fileSystemUuid(fd: number): Buffer | undefined {
  const answer = Buffer.alloc(17);
  if (control(fd, FS_IOC_GETFSUUID, answer) < 0 || answer[0] !== 16) return undefined;
  return answer.subarray(1, 17);
}
