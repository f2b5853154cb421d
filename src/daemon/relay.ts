import { isErrno, unless } from "../kernel/error.ts";
import { Fd } from "../kernel/fd.ts";
import { writeAll } from "../kernel/file.ts";
import type { Watched } from "../kernel/poll.ts";
import { foregroundGroup, groupOf, isForeground } from "../kernel/self.ts";
import { copySize, makeTerminal, rawSettings, readSettings, type Settings, writeSettings } from "../kernel/terminal.ts";
import { receiveFrom, sendSome } from "../kernel/stream.ts";

/** Nobody tells a process that it came into the foreground: it is looked for as often as this. */
const lookMs = 200;
const longestWaitMs = 500;

/**
 * A terminal of our own for the command, which no process of the service's can have the caller's for: what is typed
 * on the caller's goes there, what is shown there comes back. Job control is then between that terminal and the command.
 */
export class Relay implements Disposable {
  /** The command's end of it. */
  readonly line: Fd;
  readonly #screen: Fd;
  readonly #keyboard = new Fd(0, "standard input");
  readonly #window = new Fd(1, "standard output");
  readonly #settings: Settings;
  readonly #buffer = Buffer.allocUnsafe(16_384);
  /** Typed, but not taken by the command's terminal yet. */
  #typed: Buffer = Buffer.alloc(0);
  #state: "outside" | "inside" | "typing" = "outside";
  #isHungUp = false;

  constructor() {
    this.#settings = readSettings(this.#keyboard);
    const { screen, line } = makeTerminal();
    this.#screen = screen;
    this.line = line;
    writeSettings(line, this.#settings);
    this.resize();
  }

  /** A command has the terminal from now on. */
  enter(): void {
    if (this.#isHungUp) return;
    this.#state = "inside";
    this.#takeKeyboard();
  }

  /** No command has it: what it showed is shown, and the caller's terminal is as it was. */
  leave(): void {
    if (this.#state === "outside") return;
    this.#show();
    this.#giveKeyboard();
    this.#state = "outside";
  }

  pause(): void {
    if (this.#state === "outside") return;
    this.#show();
    this.#giveKeyboard();
  }

  resume(): void {
    this.resize();
    if (this.#state === "inside") this.#takeKeyboard();
  }

  resize(): void {
    if (this.#isHungUp) return;
    unless(["EIO", "ENOTTY"], () => {
      copySize(this.#window, this.#screen);
    });
  }

  /** In the background, where the caller's terminal is others', keys aren't ours. */
  #takeKeyboard(): void {
    const group = foregroundGroup();
    if (group === undefined) return this.#hangUp();
    if (group !== groupOf(0)) return;
    unless(["EIO"], () => {
      writeSettings(this.#keyboard, rawSettings(this.#settings));
    });
    this.#state = "typing";
  }

  #giveKeyboard(): void {
    if (this.#state !== "typing") return;
    this.#state = "inside";
    if (!isForeground()) return;
    unless(["EIO"], () => {
      writeSettings(this.#keyboard, this.#settings);
    });
  }

  /** The caller's terminal is gone: so is the command's. */
  #hangUp(): void {
    this.#state = "outside";
    this.#isHungUp = true;
    this.#screen.close();
  }

  watched(): Watched[] {
    if (this.#state === "outside") return [];
    const list: Watched[] = [{ file: this.#screen }];
    if (this.#typed.length > 0) list.push({ file: this.#screen, for: "writing" });
    else if (this.#state === "typing") list.push({ file: this.#keyboard });
    return list;
  }

  timeoutMs(): number {
    return this.#state === "inside" ? lookMs : longestWaitMs;
  }

  /** Whether the caller's terminal is gone. */
  get isHungUp(): boolean {
    return this.#isHungUp;
  }

  /** Passes on what there is, in both directions. */
  pass(): void {
    if (this.#state === "outside") return;
    if (this.#state === "inside") this.#takeKeyboard();
    this.#show();
    if (this.#state === "typing" && this.#typed.length === 0) this.#read();
    if (this.#typed.length > 0) this.#typed = this.#typed.subarray(sendSome(this.#screen, this.#typed));
  }

  #read(): void {
    const data = receiveFrom(this.#keyboard, this.#buffer);
    if (data === "end") this.#hangUp();
    else if (data !== undefined) this.#typed = Buffer.from(data);
  }

  #show(): void {
    for (;;) {
      const data = receiveFrom(this.#screen, this.#buffer);
      // The service keeps the command's end open until its last word, so the end of it comes after that only.
      if (data === undefined || data === "end") return;
      this.#write(data);
    }
  }

  #write(data: Buffer): void {
    // The caller's terminal ends lines itself as long as it isn't raw.
    const text =
      this.#state === "typing" ? data : Buffer.from(data.toString("latin1").replaceAll("\r\n", "\n"), "latin1");
    try {
      writeAll(this.#window, text);
    } catch (error) {
      if (!isErrno(error, "EIO", "EPIPE")) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.leave();
    this.line.close();
    this.#screen.close();
  }
}
