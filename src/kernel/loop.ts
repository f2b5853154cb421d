import { readdirSync } from "node:fs";
import { O } from "./abi/file.ts";
import { LO_FLAGS, LOOP, LOOP_CONFIG, LOOP_CONFIG_SIZE, LOOP_INFO64, LOOP_INFO64_SIZE } from "./abi/loop.ts";
import { isErrno, KernelError, unless } from "./error.ts";
import type { Fd } from "./fd.ts";
import { ioctl, openAt, statAt } from "./file.ts";

/** What is wanted of a file's loop device: a read-only one never writes to the file. */
export type LoopAccess = "read" | "write";

/**
 * Opens a loop device of an open file: one that is there already, as the same file system on two devices would be taken
 * for two; else a free one. It frees itself when nobody has it open or mounted any more, also when we are killed.
 * The caller keeps others of us from doing the same at once.
 * @param file open for reading, and for writing where that is wanted
 * @throws {KernelError} EBUSY: the file's device has the other access; ENOENT: there are no loop devices here
 * @see loop(4)
 */
export function openLoop(file: Fd, access: LoopAccess): Fd {
  return findLoop(file, access) ?? makeLoop(file, access);
}

function findLoop(file: Fd, access: LoopAccess): Fd | undefined {
  for (const name of usedLoops()) {
    const device = unless(["ENOENT", "ENXIO", "ENODEV"], () => openAt(null, `/dev/${name}`, O.RDONLY));
    if (device === undefined) continue;
    const found = backingOf(device);
    if (found !== undefined && isSame(found, file)) {
      if (found.isReadOnly === (access === "read")) return device;
      device.close();
      throw new KernelError({ syscall: `open the loop device /dev/${name} of`, path: file.path, errno: "EBUSY" });
    }
    device.close();
  }
  return undefined;
}

function usedLoops(): string[] {
  const names = unless(["ENOENT"], () => readdirSync("/sys/block")) ?? [];
  return names.filter((name) => {
    const isUsed = () => statAt(null, `/sys/block/${name}/loop/backing_file`);
    return /^loop\d+$/.test(name) && unless(["ENOENT", "ENODEV"], isUsed) !== undefined;
  });
}

interface Backing {
  readonly device: bigint;
  readonly inode: bigint;
  /** Whether it is all of the file. */
  readonly isWhole: boolean;
  readonly isReadOnly: boolean;
}

/** What a device is of; undefined where it was freed meanwhile. */
function backingOf(device: Fd): Backing | undefined {
  const info = Buffer.alloc(LOOP_INFO64_SIZE);
  const asked = unless(["ENXIO"], () => ioctl(device, LOOP.GET_STATUS64, info, "look at the loop device"));
  if (asked === undefined) return undefined;
  return {
    device: info.readBigUInt64LE(LOOP_INFO64.device),
    inode: info.readBigUInt64LE(LOOP_INFO64.inode),
    isWhole: info.readBigUInt64LE(LOOP_INFO64.offset) === 0n && info.readBigUInt64LE(LOOP_INFO64.sizelimit) === 0n,
    isReadOnly: (info.readUInt32LE(LOOP_INFO64.flags) & LO_FLAGS.READ_ONLY) !== 0,
  };
}

/** The kernel writes a device as 12 bits of major between 8 and 12 of minor (huge_encode_dev()). */
function isSame({ device, inode, isWhole }: Backing, file: Fd): boolean {
  const { dev, ino } = statAt(file);
  const packed = (BigInt(dev.minor) & 0xffn) | (BigInt(dev.major) << 8n) | ((BigInt(dev.minor) & ~0xffn) << 12n);
  return isWhole && inode === ino && device === packed;
}

/** A free device may be taken by somebody else before it is ours. */
function makeLoop(file: Fd, access: LoopAccess): Fd {
  using control = openControl();
  const config = Buffer.alloc(LOOP_CONFIG_SIZE);
  config.writeUInt32LE(file.number, LOOP_CONFIG.fd);
  const flags = LO_FLAGS.AUTOCLEAR | (access === "read" ? LO_FLAGS.READ_ONLY : 0);
  config.writeUInt32LE(flags, LOOP_CONFIG.info + LOOP_INFO64.flags);
  config.write(file.path.slice(0, 63), LOOP_CONFIG.info + LOOP_INFO64.file_name);
  for (let tries = 0; ; tries++) {
    const number = ioctl(control, LOOP.CTL_GET_FREE, null, "find a free loop device:");
    const device = openAt(null, `/dev/loop${number}`, flagsOf(access));
    try {
      ioctl(device, LOOP.CONFIGURE, config, `make ${file.path} a loop device:`);
      return device;
    } catch (error) {
      device.close();
      if (!isErrno(error, "EBUSY") || tries > 100) throw error;
    }
  }
}

function openControl(): Fd {
  try {
    return openAt(null, "/dev/loop-control", O.RDWR);
  } catch (error) {
    if (!(error instanceof KernelError) || !isErrno(error, "ENOENT", "ENODEV", "ENXIO")) throw error;
    const { syscall, path, errno } = error;
    throw new KernelError({ syscall, path, errno, hint: "load the module: modprobe loop" });
  }
}

function flagsOf(access: LoopAccess): number {
  return access === "read" ? O.RDONLY : O.RDWR;
}
