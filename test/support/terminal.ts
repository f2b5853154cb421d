import { spawn } from "node:child_process";
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { O } from "../../src/kernel/abi/file.ts";
import type { Fd } from "../../src/kernel/fd.ts";
import { ioctl, openAt } from "../../src/kernel/file.ts";

// asm-generic/ioctls.h
const TIOCSWINSZ = 0x5414;
const TIOCGPTN = 0x80045430;
const TIOCSPTLCK = 0x40045431;

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export interface TerminalOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly directory?: string;
  readonly size?: Size;
}

/** A program on a terminal of its own, as a person in front of it has it: Ctrl-C is `type("\x03")`. */
export class Terminal {
  /** All that was shown so far, with the terminal's own line ends (\r\n). */
  output = "";
  readonly ended: Promise<{ status: number | null; signal: NodeJS.Signals | null }>;
  readonly processId: number;
  readonly #master: Fd;
  #seen = 0;
  readonly #reading: NodeJS.Timeout;

  constructor([program = "", ...args]: readonly string[], options: TerminalOptions = {}) {
    this.#master = openAt(null, "/dev/ptmx", O.RDWR | O.NONBLOCK | constants.O_NOCTTY);
    ioctl(this.#master, TIOCSPTLCK, new Uint8Array(4));
    const number = new Uint32Array(1);
    ioctl(this.#master, TIOCGPTN, new Uint8Array(number.buffer));
    this.resize(options.size ?? { columns: 80, rows: 24 });
    const slave = openSync(`/dev/pts/${number[0]}`, O.RDWR | constants.O_NOCTTY);
    // setsid(1) makes the slave the controlling terminal, then becomes the program.
    const child = spawn("setsid", ["--ctty", program, ...args], {
      stdio: [slave, slave, slave],
      cwd: options.directory,
      env: { ...process.env, TERM: "dumb", ...options.env },
    });
    closeSync(slave);
    this.processId = child.pid ?? 0;
    this.ended = new Promise((done, fail) => {
      child.on("error", fail);
      child.on("exit", (status, signal) => {
        done({ status, signal });
      });
    });
    const buffer = Buffer.alloc(65_536);
    this.#reading = setInterval(() => {
      this.#read(buffer);
    }, 5);
  }

  /** Sends keys. */
  type(keys: string): void {
    writeSync(this.#master.number, keys);
  }

  resize({ columns, rows }: Size): void {
    ioctl(this.#master, TIOCSWINSZ, new Uint8Array(new Uint16Array([rows, columns, 0, 0]).buffer));
  }

  /** Closes the window: the programs on the terminal get SIGHUP. */
  hangUp(): void {
    clearInterval(this.#reading);
    this.#master.close();
  }

  /** Waits until what was shown since the last match contains `expected`; returns that part. */
  async until(expected: RegExp | string, timeoutMs = 30_000): Promise<string> {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const fresh = this.output.slice(this.#seen);
      const found = typeof expected === "string" ? fresh.indexOf(expected) : fresh.search(expected);
      if (found >= 0) {
        const length = typeof expected === "string" ? expected.length : (expected.exec(fresh)?.[0].length ?? 0);
        this.#seen += found + length;
        return fresh.slice(0, found + length);
      }
      if (performance.now() > end) throw new Error(`no ${String(expected)} within ${timeoutMs} ms in:\n${fresh}`);
      await new Promise((done) => setTimeout(done, 5));
    }
  }

  /** Without blocking: a read(2) under way would keep the terminal open after hangUp(). */
  #read(buffer: Buffer): void {
    try {
      for (;;) this.output += buffer.toString("utf8", 0, readSync(this.#master.number, buffer));
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "EIO") clearInterval(this.#reading); // nobody has the terminal open any more
      else if (code !== "EAGAIN") throw error;
    }
  }
}
