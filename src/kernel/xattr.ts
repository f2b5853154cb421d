import { check } from "./error.ts";
import type { Fd } from "./fd.ts";
import { cString, type Path, quick } from "./libc.ts";

const fsetxattr_ = quick("fsetxattr", "int", ["int", "void *", "void *", "size_t", "int"]);
const lsetxattr_ = quick("lsetxattr", "int", ["void *", "void *", "void *", "size_t", "int"]);
const lgetxattr_ = quick("lgetxattr", "long", ["void *", "void *", "void *", "size_t"]);
const llistxattr_ = quick("llistxattr", "long", ["void *", "void *", "size_t"]);
const lremovexattr_ = quick("lremovexattr", "int", ["void *", "void *"]);

/**
 * Sets an extended attribute of `name` below `dir`, of a symbolic link itself too.
 * It goes through /proc/self/fd, so no component of a hostile path is followed twice.
 * @see setxattr(2)
 */
export function setXattrAt(dir: Fd, name: Path, attribute: Path, value: Uint8Array): void {
  const path = pathOf(dir, name);
  check("setxattr", path, lsetxattr_(cString(path), cString(attribute), value, value.length, 0));
}

/** As setXattrAt(), of an open file that isn't O_PATH. */
export function setXattr(file: Fd, attribute: Path, value: Uint8Array): void {
  check("setxattr", file, fsetxattr_(file.number, cString(attribute), value, value.length, 0));
}

/** @throws {KernelError} ENODATA where there is none of this name, EOPNOTSUPP where the file system has none */
export function getXattrAt(dir: Fd, name: Path, attribute: Path): Buffer {
  const path = pathOf(dir, name);
  const buffer = Buffer.alloc(65536);
  const length = check("getxattr", path, lgetxattr_(cString(path), cString(attribute), buffer, buffer.length));
  return Buffer.from(buffer.subarray(0, length));
}

/** The names of the attributes, as bytes. */
export function listXattrsAt(dir: Fd, name: Path): Buffer[] {
  const path = pathOf(dir, name);
  const buffer = Buffer.alloc(65536);
  const length = check("listxattr", path, llistxattr_(cString(path), buffer, buffer.length));
  const names: Buffer[] = [];
  for (let start = 0; start < length;) {
    const end = buffer.indexOf(0, start);
    names.push(Buffer.from(buffer.subarray(start, end)));
    start = end + 1;
  }
  return names;
}

export function removeXattrAt(dir: Fd, name: Path, attribute: Path): void {
  const path = pathOf(dir, name);
  check("removexattr", path, lremovexattr_(cString(path), cString(attribute)));
}

function pathOf(dir: Fd, name: Path): Buffer {
  return Buffer.concat([Buffer.from(`${dir.procPath}/`), Buffer.from(name)]);
}
