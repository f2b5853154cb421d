import { E } from "../kernel/abi/errno.ts";
import { fail } from "../kernel/at.ts";
import { cloneFile, copyRange, readAt, SEEK, seek, truncateFd, writeAt } from "../kernel/io.ts";

/**
 * Copies the first `length` bytes of a file into an empty one, holes as holes: as shared blocks where the file
 * systems can, else inside the kernel, else through a buffer.
 * @returns whether anything was written that isn't on the disk yet
 */
export function copyContent(from: number, to: number, length: number, size: number): boolean {
  if (length <= 0) return false;
  if (length >= size && cloneFile(from, to) === 0) return false;
  writeContent(from, to, length);
  return true;
}

function writeContent(from: number, to: number, length: number): void {
  let copy: Copier = copyInKernel;
  for (let at = 0; at < length;) {
    const data = seek(from, at, SEEK.DATA);
    if (data === -E.NXIO || data >= length) return finish(to, length);
    const start = data < 0 ? at : data;
    const hole = data < 0 ? length : seek(from, start, SEEK.HOLE);
    const end = Math.min(length, hole < 0 ? length : hole);
    for (at = start; at < end;) {
      const copied = copy(from, to, at, end - at);
      if (copied > 0) at += copied;
      else if (copied === 0) return finish(to, length);
      else if (copy === copyInKernel && isUnsupported(copied)) copy = copyThrough;
      else if (copied !== -E.INTR) fail("copy", "", copied);
    }
  }
}

type Copier = (from: number, to: number, at: number, length: number) => number;

function copyInKernel(from: number, to: number, at: number, length: number): number {
  return copyRange(from, at, to, at, Math.min(length, 0x4000_0000));
}

function isUnsupported(result: number): boolean {
  return [E.XDEV, E.INVAL, E.OPNOTSUPP, E.NOSYS, E.IO, E.BADF].includes(-result as never);
}

let buffer: Uint8Array | undefined;

function copyThrough(from: number, to: number, at: number, length: number): number {
  buffer ??= Buffer.allocUnsafeSlow(1 << 20);
  const read = readAt(from, buffer.subarray(0, Math.min(length, buffer.length)), at);
  if (read <= 0) return read;
  for (let done = 0; done < read;) {
    const written = writeAt(to, buffer.subarray(done, read), at + done);
    if (written < 0 && written !== -E.INTR) return written;
    done += Math.max(0, written);
  }
  return read;
}

/** A hole at the end. */
function finish(to: number, length: number): void {
  const result = truncateFd(to, length);
  if (result < 0) fail("truncate", "", result);
}
