import { readSync } from "node:fs";
import { pause } from "../print.ts";

/** One line that somebody types, without its end; undefined where the input ends before there is any. */
export function readLine(): string | undefined {
  const bytes: number[] = [];
  const one = Buffer.alloc(1);
  while (readByte(one)) {
    if (one[0] === 0x0a) return Buffer.from(bytes).toString("utf8");
    bytes.push(one[0] ?? 0);
  }
  return bytes.length === 0 ? undefined : Buffer.from(bytes).toString("utf8");
}

function readByte(one: Buffer): boolean {
  for (;;) {
    try {
      return readSync(0, one) > 0;
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      // The terminal has hung up.
      if (code === "EIO" || code === "EOF") return false;
      if (code !== "EAGAIN" && code !== "EINTR") throw error;
      // A command that was run there has made it non-blocking.
      pause();
    }
  }
}
