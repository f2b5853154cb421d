import type { Terms } from "../../fuse/wire/init.ts";
import { fail } from "../../kernel/at.ts";
import type { Fd } from "../../kernel/fd.ts";
import { readAt, writeAt } from "../../kernel/io.ts";
import type { FallthruMount } from "./options.ts";

/** What a server needs to know, first of all: the first line of its state. */
export interface Order {
  readonly mount: FallthruMount;
  readonly target: string;
}

/**
 * What outlives a server, in memory that whoever holds the mount keeps open: a line with the order, and from INIT on one
 * with what was agreed on with the kernel.
 */
export interface State {
  readonly order: Order;
  readonly terms: Terms | undefined;
}

export function writeOrder(file: Fd, order: Order): void {
  append(file, 0, order);
}

export function readState(file: Fd): State {
  const lines = readText(file).split("\n");
  const [order = "", terms = ""] = lines;
  return { order: JSON.parse(order) as Order, terms: terms === "" ? undefined : (JSON.parse(terms) as Terms) };
}

export function writeTermsOf(file: Fd, terms: Terms): void {
  append(file, Buffer.byteLength(readText(file)), terms);
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
