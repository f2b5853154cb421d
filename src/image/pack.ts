import { spawn } from "node:child_process";
import type { Fd } from "../kernel/fd.ts";
import type { Compression } from "./compression.ts";

const programs: Readonly<Record<Compression, string | undefined>> = {
  none: undefined,
  gzip: "gzip",
  xz: "xz",
  zstd: "zstd",
  bzip2: "bzip2",
  lz4: "lz4",
  lzop: "lzop",
  lzip: "lzip",
  compress: "compress",
};

export interface PackOptions {
  readonly compression: Compression;
  /** tar(1) inherits it, and with it a lock that is on it: nobody takes over from us until it has ended too. */
  readonly held: Fd;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes a tree as a tar archive into an open file, with tar(1), which every Debian has.
 * @returns undefined where it is whole; what tar complained of where it isn't
 */
export function packTree(tree: string, into: Fd, options: PackOptions): Promise<string | undefined> {
  const program = programs[options.compression];
  const keep = ["--numeric-owner", "--acls", "--xattrs", "--xattrs-include=*", "--sparse", "--sort=name"];
  const compress = program === undefined ? [] : [`--use-compress-program=${program}`];
  const argv = ["tar", "--create", "--file=-", ...keep, ...compress, `--directory=${tree}`, "."] as const;
  return runHolding(argv, ["ignore", into.number, "pipe", options.held.number], options.signal);
}

/** Runs a program to its end. @returns undefined where that was status 0, else the first line of its complaints */
export async function runHolding(
  [program, ...args]: readonly [string, ...string[]],
  stdio: ("ignore" | "pipe" | number)[],
  signal?: AbortSignal,
): Promise<string | undefined> {
  const child = spawn(program, args, { stdio });
  const stop = () => child.kill("SIGKILL");
  signal?.addEventListener("abort", stop);
  try {
    let messages = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (messages += text));
    const ended = await new Promise<number | string | null>((resolve, reject) => {
      child.on("error", reject).on("close", (status, killer) => resolve(status ?? killer));
    });
    signal?.throwIfAborted();
    if (ended === 0) return undefined;
    return messages.split("\n").find((line) => line.trim() !== "") ?? `${program} ended with ${ended}`;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}
