/** Archives made byte by byte, for what no packer writes. */
export interface CraftedEntry {
  readonly name?: string | Buffer;
  /** The type flag; without it a regular file. */
  readonly type?: string;
  readonly linkName?: string | Buffer;
  readonly body?: string | Buffer;
  /** What the header says; without it, the body's. */
  readonly size?: number;
  readonly mode?: number;
  readonly uid?: number;
  readonly format?: "v7" | "ustar" | "gnu";
  /** Puts further bytes into the header before its checksum is made. */
  readonly patch?: (header: Buffer) => void;
}

/** One header and its padded content. */
export function craftEntry(entry: CraftedEntry): Buffer {
  const body = Buffer.from(entry.body ?? "");
  const header = Buffer.alloc(512);
  const octal = (value: number, start: number, length: number) =>
    header.write(`${value.toString(8).padStart(length - 1, "0")}\0`, start, "latin1");
  Buffer.from(entry.name ?? "file").copy(header, 0, 0, 100);
  octal(entry.mode ?? 0o644, 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(0, 116, 8);
  octal(entry.size ?? body.length, 124, 12);
  octal(1_700_000_000, 136, 12);
  header.write(entry.type ?? "0", 156, "latin1");
  Buffer.from(entry.linkName ?? "").copy(header, 157, 0, 100);
  if (entry.format === "gnu") header.write("ustar  \0", 257, "latin1");
  else if (entry.format !== "v7") header.write("ustar\x0000", 257, "latin1");
  entry.patch?.(header);
  header.fill(0x20, 148, 156);
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

/** An extended header: `x` for the next entry, `g` for all that follow. */
export function craftPax(records: Readonly<Record<string, string | Buffer>>, type: "x" | "g" = "x"): Buffer {
  const parts = Object.entries(records).map(([keyword, value]) => craftRecord(keyword, Buffer.from(value)));
  return craftEntry({ name: "././@PaxHeader", type, body: Buffer.concat(parts) });
}

/** The length of a record counts its own digits. */
function craftRecord(keyword: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${keyword}=`, "latin1"), value, Buffer.from("\n")]);
  let length = rest.length + 1;
  while (`${length}`.length + rest.length !== length) length++;
  return Buffer.concat([Buffer.from(`${length}`), rest]);
}

/** The parts with the mark that ends an archive behind them. */
export function craftArchive(...parts: readonly (Buffer | CraftedEntry)[]): Buffer {
  return Buffer.concat([...parts.map((part) => (Buffer.isBuffer(part) ? part : craftEntry(part))), Buffer.alloc(1024)]);
}
