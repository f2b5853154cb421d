import { UserError } from "../../error.ts";
import { pathText } from "../../kernel/libc.ts";
import { describeEntry, type TarHeader, type TarKind } from "./entry.ts";
import { type Block, blockSize, isZeroBlock, type Malformed, parseBlock } from "./header.ts";
import { mergePax, parsePax, paxNumber, type PaxRecord, type PaxValues } from "./pax.ts";
import * as sparse from "./sparse.ts";
import { ByteSource } from "./source.ts";

/** A piece of a file's content and where in the file it belongs. The data is valid until the next piece is asked for. */
export interface TarPiece {
  readonly offset: number;
  readonly data: Buffer;
}

export interface TarEntry {
  readonly header: TarHeader;
  /** The content of a file, once; what isn't read is passed over. */
  readonly body: AsyncIterable<TarPiece>;
}

/**
 * Reads a tar archive of any format (v7, ustar, GNU, pax) as it streams by; memory doesn't grow with it.
 * @param archive how messages name it
 * @throws {UserError} data: malformed, cut off, or of a kind that can't be read; names the place
 */
export async function* readTar(
  input: AsyncIterable<Uint8Array>,
  archive: string,
): AsyncGenerator<TarEntry, void, void> {
  await using bytes = new ByteSource(input);
  const reading: Reading = { bytes, archive, globals: new Map(), hasPax: false };
  for (;;) {
    const found = await nextHeader(reading);
    if (found === undefined) break;
    const body = new Body(bytes, found, found.malformed);
    yield { header: found.header, body };
    await body.finish();
  }
  // To its end, so that the decompressor sees its own checksum.
  while ((await bytes.piece(1 << 20)) !== undefined);
}

interface Reading {
  readonly bytes: ByteSource;
  readonly archive: string;
  readonly globals: Map<string, Buffer>;
  hasPax: boolean;
}

interface Found {
  readonly header: TarHeader;
  /** How many bytes of content follow, without padding. */
  readonly stored: number;
  readonly malformed: Malformed;
}

/** Names that GNU headers before an entry's own say. */
interface LongNames {
  name?: Buffer;
  linkName?: Buffer;
}

/** What extended headers may take in memory: names, then the attributes of one entry. */
const longNameLimit = 1 << 20;
const paxLimit = 32 << 20;

async function nextHeader(reading: Reading): Promise<Found | undefined> {
  const { bytes, archive, globals } = reading;
  const long: LongNames = {};
  let records: PaxRecord[] = [];
  for (;;) {
    const offset = bytes.offset;
    const place: Malformed = (what) => malformed(archive, `at byte ${offset}`, what);
    const raw = await readHeaderBlock(bytes, archive);
    if (raw === undefined) return undefined;
    const block = parseFirst(raw, offset, archive, place);
    switch (block.type) {
      case "L":
        long.name = await readLongName(bytes, block, place);
        break;
      case "K":
        long.linkName = await readLongName(bytes, block, place);
        break;
      case "x":
      case "X": // Solaris's name for it, from before POSIX
        reading.hasPax = true;
        records = parsePax(await readContent(bytes, block.size, paxLimit, place), place);
        break;
      case "g":
        reading.hasPax = true;
        mergePax(globals, parsePax(await readContent(bytes, block.size, paxLimit, place), place));
        break;
      case "V": // a volume's label
        await readContent(bytes, block.size, paxLimit, place);
        break;
      default:
        return finishHeader(reading, { raw, block, long, records, offset });
    }
  }
}

/** undefined at the mark that ends an archive: a block of zeros. */
async function readHeaderBlock(bytes: ByteSource, archive: string): Promise<Buffer | undefined> {
  const offset = bytes.offset;
  const raw = await bytes.read(blockSize);
  if (raw.length === blockSize) return isZeroBlock(raw) ? undefined : raw;
  if (bytes.offset === 0) throw new UserError("data", `${archive} is empty`);
  const what = raw.length === 0 ? "lacks the mark that ends an archive" : "ends within a header";
  throw new UserError("data", `${archive} is cut off: at byte ${offset} it ${what}`);
}

function parseFirst(raw: Buffer, offset: number, archive: string, place: Malformed): Block {
  if (offset > 0) return parseBlock(raw, place);
  return parseBlock(raw, (what) => new UserError("data", `${archive} is not a tar archive: its first header ${what}`));
}

function malformed(archive: string, where: string, what: string): UserError {
  return new UserError("data", `${archive} is malformed: the entry ${where} ${what}`);
}

interface Headers {
  readonly raw: Buffer;
  readonly block: Block;
  readonly long: LongNames;
  readonly records: readonly PaxRecord[];
  readonly offset: number;
}

async function finishHeader(reading: Reading, { raw, block, long, records, offset }: Headers): Promise<Found> {
  const { bytes, archive, globals } = reading;
  let values: PaxValues = globals;
  if (records.length > 0) {
    const own = new Map(globals);
    mergePax(own, records);
    values = own;
  }
  const name = values.get("GNU.sparse.name") ?? values.get("path") ?? long.name ?? block.name;
  const place: Malformed = (what) => malformed(archive, `${pathText(name)} (at byte ${offset})`, what);
  const kind = kindOf(block, name, place);
  const linkName = values.get("linkpath") ?? long.linkName ?? block.linkName;
  const entry = describeEntry({ block, kind, name, linkName, values }, place);
  const stored = storedSize(kind, paxNumber(values, "size", place) ?? block.size, reading.hasPax);
  if (stored < 0) throw place("has a negative size");
  if (kind !== "file") return { header: { ...entry, size: 0, sparse: undefined, offset }, stored, malformed: place };
  const content = await readSparse(bytes, { raw, block, records, values, stored, place });
  return { header: { ...entry, ...content.file, offset }, stored: content.stored, malformed: place };
}

function kindOf(block: Block, name: Buffer, place: Malformed): TarKind {
  switch (block.type) {
    case "0":
    case "7": // a contiguous file
      // Before there was a type for directories, a slash at the end said so.
      return name.at(-1) === 0x2f ? "directory" : "file";
    case "S":
      if (block.format !== "gnu") throw place("is sparse in star's own format, which isn't supported");
      return "file";
    case "1":
      return "hardlink";
    case "2":
      return "symlink";
    case "3":
      return "character";
    case "4":
      return "block";
    case "5":
    case "D": // with a list of what was in it, in GNU tar's incremental archives
      return "directory";
    case "6":
      return "fifo";
    case "M":
      throw place("goes on from another volume: archives in several volumes aren't supported");
    default:
      throw place(`is of the unknown type ${JSON.stringify(block.type)}`);
  }
}

/**
 * How much follows. Links and devices may state a size and yet have no content; only pax lets a hard link
 * carry its file's content again (POSIX pax, "typeflag").
 */
function storedSize(kind: TarKind, size: number, hasPax: boolean): number {
  if (kind === "file" || kind === "directory") return size;
  return kind === "hardlink" && hasPax ? size : 0;
}

interface SparseInput {
  readonly raw: Buffer;
  readonly block: Block;
  readonly records: readonly PaxRecord[];
  readonly values: PaxValues;
  readonly stored: number;
  readonly place: Malformed;
}

type Content = { readonly file: Pick<TarHeader, "size" | "sparse">; readonly stored: number };

async function readSparse(
  bytes: ByteSource,
  { raw, block, records, values, stored, place }: SparseInput,
): Promise<Content> {
  const version = values.size === 0 ? undefined : sparse.paxSparseVersion(values);
  if (values.has("SUN.holesdata")) throw place("is sparse in Solaris's own format, which isn't supported");
  const finish = (extents: readonly sparse.Extent[], size: number, left: number): Content => {
    sparse.checkExtents(extents, size, left, place);
    return { file: { size, sparse: extents }, stored: left };
  };
  if (block.type === "S") {
    const { extents, realSize } = await sparse.readOldMap(raw, bytes, place);
    return finish(extents, realSize, stored);
  }
  switch (version) {
    case undefined:
      return { file: { size: stored, sparse: undefined }, stored };
    case "0.0":
      return finish(sparse.parsePairs(records, place), sparse.paxRealSize(values, place), stored);
    case "0.1": {
      const map = values.get("GNU.sparse.map") ?? Buffer.alloc(0);
      return finish(sparse.parseMapRecord(map, place), sparse.paxRealSize(values, place), stored);
    }
    case "1.0": {
      const { extents, taken } = await sparse.readMapBlocks(bytes, place);
      return finish(extents, sparse.paxRealSize(values, place), stored - taken);
    }
    case "other":
      throw place("is sparse in an unknown version of the format");
  }
}

async function readLongName(bytes: ByteSource, block: Block, place: Malformed): Promise<Buffer> {
  const content = await readContent(bytes, block.size, longNameLimit, place);
  const end = content.indexOf(0);
  return end < 0 ? content : content.subarray(0, end);
}

async function readContent(bytes: ByteSource, size: number, limit: number, place: Malformed): Promise<Buffer> {
  if (size < 0 || size > limit) throw place(`has an extended header of ${size} bytes, which is too long`);
  const content = await bytes.read(size);
  if (content.length < size || !(await bytes.skip(padding(size)))) throw place("is cut off");
  return content;
}

function padding(size: number): number {
  return (blockSize - (size % blockSize)) % blockSize;
}

/** The content of one entry: at most once through, and then to the next header. */
class Body implements AsyncIterable<TarPiece> {
  readonly #bytes: ByteSource;
  readonly #malformed: Malformed;
  readonly #extents: readonly sparse.Extent[];
  readonly #padding: number;
  #left: number;

  constructor(bytes: ByteSource, { header, stored }: Found, malformed: Malformed) {
    this.#bytes = bytes;
    this.#malformed = malformed;
    this.#extents = header.sparse ?? [{ offset: 0, length: stored }];
    this.#left = stored;
    this.#padding = padding(stored);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TarPiece, void, void> {
    for (const extent of this.#extents) {
      for (let done = 0; done < extent.length;) {
        const data = await this.#bytes.piece(extent.length - done);
        if (data === undefined) throw this.#malformed("is cut off");
        this.#left -= data.length;
        yield { offset: extent.offset + done, data };
        done += data.length;
      }
    }
  }

  async finish(): Promise<void> {
    if (!(await this.#bytes.skip(this.#left + this.#padding))) throw this.#malformed("is cut off");
  }
}
