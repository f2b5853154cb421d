import type { Terms } from "../../fuse/wire/init.ts";
import { fail } from "../../kernel/at.ts";
import type { Fd } from "../../kernel/fd.ts";
import { readAt, writeAt } from "../../kernel/io.ts";
import type { LowerLayer } from "../../union/setup.ts";
import type { FallthruMount } from "./options.ts";

/** What a server needs to know, first of all: the first line of its state. */
export interface Order {
  readonly mount: FallthruMount;
  readonly target: string;
}

/** A lower as it is mounted now. */
export interface Branch extends LowerLayer {
  /** Those that the mount began with are numbered from the top; later ones go on counting, and no number is used twice. */
  readonly key: number;
  /** Removed: only its file system counts, so that inode numbers stay. */
  readonly isRetired?: boolean;
}

/** The lowers after a change. */
export interface BranchList {
  readonly branches: readonly Branch[];
  /** Of the request that asked for it. */
  readonly id: string;
}

/**
 * What outlives a server, in memory that whoever holds the mount keeps open: lines of JSON. The first is the order; from
 * INIT on one has what was agreed on with the kernel; each change of the lowers is one, and so is that the kernel was told.
 */
export interface State {
  readonly order: Order;
  readonly terms: Terms | undefined;
  /** Undefined: the lowers are those of the order. */
  readonly lowers: BranchList | undefined;
  /** The last change that the kernel was told of. */
  readonly announced: string | undefined;
}

export function writeOrder(file: Fd, order: Order): void {
  append(file, 0, order);
}

export function readState(file: Fd): State {
  // What stands behind the last end of a line was being written when somebody was killed.
  const [order, ...lines] = readText(file)
    .split("\n")
    .slice(0, -1)
    .map((line): unknown => JSON.parse(line));
  const last = <T>(key: keyof T & string): T | undefined =>
    lines.findLast((line) => typeof line === "object" && line !== null && key in line) as T | undefined;
  return {
    order: order as Order,
    terms: last<Terms>("major"),
    lowers: last<BranchList>("branches"),
    announced: last<{ announced: string }>("announced")?.announced,
  };
}

/** Adds a line. */
export function writeState(file: Fd, line: Terms | BranchList | { readonly announced: string }): void {
  const text = readText(file);
  append(file, Buffer.byteLength(text.slice(0, text.lastIndexOf("\n") + 1)), line);
}

function append(file: Fd, at: number, value: unknown): void {
  const line = Buffer.from(`${JSON.stringify(value)}\n`);
  const written = writeAt(file.number, line, at);
  if (written < 0) fail("write", file.path, written);
}

function readText(file: Fd): string {
  const buffer = Buffer.alloc(1 << 20);
  const length = readAt(file.number, buffer, 0);
  return length < 0 ? fail("read", file.path, length) : buffer.toString("utf8", 0, length);
}
