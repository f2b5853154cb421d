import { check } from "./error.ts";
import { Fd } from "./fd.ts";
import { cString, native, quick, viewOf } from "./libc.ts";

const memfd_ = quick("memfd_create", "int", ["void *", "unsigned int"]);
const ftruncate_ = native("ftruncate", "int", ["int", "int64_t"]);
const mmap_ = native("mmap", "int64_t", ["void *", "size_t", "int", "int", "int", "int64_t"]);

const MFD_CLOEXEC = 1;
const [PROT_READ, PROT_WRITE, MAP_SHARED] = [1, 2, 1];

/** A file in memory, without a name: it lives as long as somebody has it open. @see memfd_create(2) */
export function makeMemoryFile(name: string): Fd {
  return new Fd(check("make memory file", name, memfd_(cString(name), MFD_CLOEXEC)), name);
}

/** Makes a file that long; what is new reads as zeros, and takes no memory before it is written to. */
export function resizeFile(file: Fd, size: number): void {
  check("resize", file, ftruncate_(file.number, size));
}

/**
 * A file's bytes from `offset` on, a multiple of the page's size, as memory: what is written here is in the file at once,
 * and outlives this process as the file does. It stays mapped until the process ends.
 * @see mmap(2)
 */
export function mapFile(file: Fd, offset: number, size: number): Buffer {
  const address = mmap_(null, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.number, offset);
  check("map", file, address === -1 ? -1 : 0);
  return Buffer.from(viewOf(BigInt(address), size));
}
