import { addressOf } from "../../kernel/libc.ts";
import { call, defer } from "./kernel.ts";

const mmap_ = call("mmap", "int64_t", ["size_t", "size_t", "int", "int", "int", "int64_t"]);
const munmap_ = call("munmap", "int", ["size_t", "size_t"]);
const msync_ = call("msync", "int", ["size_t", "size_t", "int"]);
const copyOut = call("memcpy", "size_t", ["void *", "size_t", "size_t"]);
const copyIn = call("memcpy", "size_t", ["size_t", "void *", "size_t"]);

const [PROT_READ, PROT_WRITE, MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS, MS_SYNC] = [1, 2, 1, 2, 0x20, 4];

/** A piece of a file in memory, or memory alone. Touching what lies behind the file's end kills the process. */
export class Mapping {
  readonly address: number;
  readonly length: number;
  #isMapped = true;

  constructor(address: number, length: number) {
    this.address = address;
    this.length = length;
    defer(() => this.unmap());
  }

  read(at: number, length: number): string {
    const buffer = Buffer.alloc(length);
    copyOut(buffer, this.address + at, length);
    return buffer.toString("latin1");
  }

  write(at: number, data: string): void {
    const bytes = Buffer.from(data, "latin1");
    copyIn(this.address + at, bytes, bytes.length);
  }

  sync(): void {
    msync_(this.address, this.length, MS_SYNC);
  }

  unmap(): void {
    if (this.#isMapped) munmap_(this.address, this.length);
    this.#isMapped = false;
  }
}

/** Maps `length` bytes of an open file from its start. */
export function map(
  fd: number,
  access: "read" | "write",
  length = 4096,
  kind: "shared" | "private" = "shared",
): Mapping {
  const protection = access === "read" ? PROT_READ : PROT_READ | PROT_WRITE;
  const flags = kind === "shared" ? MAP_SHARED : MAP_PRIVATE;
  return new Mapping(mmap_(0, length, protection, flags, fd, 0), length);
}

/** Memory that begins at a page. */
export function pages(length: number): Mapping {
  return new Mapping(mmap_(0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), length);
}

export function address(data: Uint8Array): number {
  return Number(addressOf(data));
}
