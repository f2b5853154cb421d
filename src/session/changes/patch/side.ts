import { S } from "../../../kernel/abi/file.ts";
import { closeFd, type Name, readlinkName } from "../../../kernel/at.ts";
import type { Fd } from "../../../kernel/fd.ts";
import type { Attr } from "../../../kernel/file.ts";
import { readAt } from "../../../kernel/io.ts";
import { openDirectoryAt, openFileAt } from "../below.ts";
import { directoryOf, nameOf } from "../names.ts";

/** One side of what a patch says of a file: where it is in its tree. */
export interface PairSide {
  readonly path: Name;
  readonly attr: Attr;
}

/** Larger files count as binary. */
const largest = 64 << 20;

/** What a patch has to hold: a file's bytes, a link's target; "binary" where that isn't text. */
export function contentOf(root: Fd, { path, attr }: PairSide): Buffer | "binary" {
  if ((attr.mode & S.IFMT) === S.IFLNK) {
    using directory = openDirectoryAt(root, directoryOf(path));
    const target = directory === undefined ? -1 : readlinkName(directory.number, nameOf(path));
    return typeof target === "number" ? Buffer.alloc(0) : target;
  }
  if (attr.size > largest) return "binary";
  const file = openFileAt(root, path);
  try {
    const content = readWhole(file, attr.size);
    // As git has it.
    return content.subarray(0, 8000).includes(0) ? "binary" : content;
  } finally {
    closeFd(file);
  }
}

function readWhole(file: number, size: number): Buffer {
  const content = Buffer.alloc(size);
  let length = 0;
  while (length < size) {
    const read = readAt(file, content.subarray(length), length);
    if (read <= 0) break;
    length += read;
  }
  return content.subarray(0, length);
}
