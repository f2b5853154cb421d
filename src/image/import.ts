import { read } from "node:fs";
import { promisify } from "node:util";
import { UserError } from "../error.ts";
import { O } from "../kernel/abi/file.ts";
import { isErrno } from "../kernel/error.ts";
import { duplicateFd } from "../kernel/at.ts";
import { Fd } from "../kernel/fd.ts";
import { isDirectory, isRegularFile, openAt, statAt } from "../kernel/file.ts";
import { decompress } from "./compression.ts";
import { extractTar } from "./extract.ts";
import { finishRoot } from "./finish.ts";
import { type KeepOptions, keepRoot } from "./keep.ts";
import type { Reporting } from "./progress.ts";
import { readTar } from "./tar/read.ts";

/**
 * Makes a root from a tar archive, which may be compressed with gzip, xz, zstd or bzip2, or be a pipe; - is standard input.
 * @returns the root's path
 * @throws {UserError} not-found; exists; data: the archive is damaged or an entry would land outside; no-space; unsupported
 */
export async function importRoot(name: string, archive: string, options: KeepOptions = {}): Promise<string> {
  using file = openArchive(archive);
  const path = await keepRoot(name, (root) => unpackArchive(file, root, options), options);
  return path;
}

async function unpackArchive(file: Fd, root: Fd, reporting: Reporting): Promise<void> {
  await extractArchive(file, root, reporting);
  reporting.onProgress?.({ phase: "finish", fraction: unpackedFraction });
  finishRoot(root);
}

/**
 * Unpacks an open tar archive, which may be compressed, into an empty directory; nothing of it is changed.
 * @throws {UserError} data: the archive is damaged or an entry would land outside; no-space; unsupported
 */
export async function extractArchive(file: Fd, root: Fd, reporting: Reporting): Promise<void> {
  const bytes = decompress(readChunks(file, reporting), file.path);
  const onWarning = reporting.onWarning ?? (() => {});
  await extractTar(readTar(bytes, file.path), root, { archive: file.path, onWarning });
}

/** How much of an import is done when all is unpacked. */
const unpackedFraction = 0.95;

function openArchive(archive: string): Fd {
  // Not /dev/stdin, which can't be opened where it is a socket, as sshd's is.
  if (archive === "-") return new Fd(duplicateFd(0), "standard input");
  try {
    const file = openAt(null, archive, O.RDONLY);
    if (!isDirectory(statAt(file))) return file;
    file.close();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) throw new UserError("not-found", `there is no ${archive}`);
    throw error;
  }
  throw new UserError("usage", `${archive} is a directory, not a tar archive`, {
    hint: "a directory is taken as it is: fallthru chroot add NAME DIRECTORY",
  });
}

const readAsync = promisify(read);
const chunkSize = 1 << 20;

/** Asynchronous reads, so that signals and progress are seen to in between. */
async function* readChunks(file: Fd, { onProgress, signal }: Reporting): AsyncGenerator<Uint8Array, void, void> {
  const attr = statAt(file);
  const size = isRegularFile(attr) ? attr.size : 0;
  for (let done = 0; ;) {
    signal?.throwIfAborted();
    onProgress?.({ phase: "unpack", ...(size > 0 && { fraction: (done / size) * unpackedFraction }) });
    const chunk = Buffer.allocUnsafeSlow(chunkSize);
    const { bytesRead } = await readAsync(file.number, chunk, 0, chunk.length, null);
    if (bytesRead === 0) return;
    done += bytesRead;
    yield chunk.subarray(0, bytesRead);
  }
}
