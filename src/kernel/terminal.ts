import { AT, O, S, STATX_BASIC_STATS, STATX_SIZE } from "./abi/file.ts";
import {
  TCGETS,
  TCSETSF,
  TCSETSW,
  TIOCGPTN,
  TIOCGWINSZ,
  TIOCNOTTY,
  TIOCSCTTY,
  TIOCSPTLCK,
  TIOCSWINSZ,
} from "./abi/terminal.ts";
import { check, errnoName, unless } from "./error.ts";
import type { Fd } from "./fd.ts";
import { findAt, openAt, readLinkAt, sameDevice, statAt, writeTo } from "./file.ts";
import { lastErrno, quick } from "./libc.ts";

const statx_ = quick("statx", "int", ["int", "void *", "int", "unsigned int", "void *"]);
const ioctl_ = quick("ioctl", "int", ["int", "unsigned long", "void *"]);

/** Whether it is a terminal. @see isatty(3) */
export function isTerminal(file: Fd): boolean {
  return kindOf(file) === "terminal";
}

/** What is behind a descriptor that we were started with. */
export function kindOf(file: Fd): "terminal" | "other" | "closed" {
  // No failing call and no exception here, which take long: this is asked at every start.
  const attributes = new Uint32Array(STATX_SIZE / 4);
  const flags = AT.EMPTY_PATH | AT.STATX_DONT_SYNC;
  const found = statx_(file.number, new Uint8Array(1), flags, STATX_BASIC_STATS, new Uint8Array(attributes.buffer));
  if (found !== 0) return errnoName(lastErrno()) === "EBADF" ? "closed" : "other";
  const [mode = 0, major] = [attributes[7], attributes[32]]; // 16 bits of mode, and the device that it is
  if ((mode & S.IFMT) !== S.IFCHR || major === memoryDevices) return "other";
  return ioctl_(file.number, TCGETS, new Uint8Array(settingsSize)) === 0 ? "terminal" : "other";
}

/** /dev/null and its like. */
const memoryDevices = 1;

/** A new terminal of the caller's: `screen` is what a window has (reading doesn't wait), `line` the program's end. */
export function makeTerminal(): { readonly screen: Fd; readonly line: Fd } {
  const screen = openAt(null, "/dev/ptmx", O.RDWR | O.NOCTTY | O.NONBLOCK);
  control(screen, TIOCSPTLCK, Buffer.alloc(4));
  const number = Buffer.alloc(4);
  control(screen, TIOCGPTN, number);
  return { screen, line: openAt(null, `/dev/pts/${number.readUInt32LE(0)}`, O.RDWR | O.NOCTTY) };
}

/** What stty(1) shows: struct termios. */
export type Settings = Buffer;
const settingsSize = 60; // 36 on most architectures

export function readSettings(terminal: Fd): Settings {
  const settings = Buffer.alloc(settingsSize);
  control(terminal, TCGETS, settings);
  return settings;
}

/** Once all that was written is out. */
export function writeSettings(terminal: Fd, settings: Settings): void {
  control(terminal, TCSETSW, settings);
}

/** The same settings, but every key is passed on as it is, and every byte shown as it is. @see cfmakeraw(3) */
export function rawSettings(settings: Settings): Settings {
  const raw = Buffer.from(settings);
  // c_iflag: IGNBRK BRKINT PARMRK ISTRIP INLCR IGNCR ICRNL IXON; c_oflag: OPOST; c_cflag: CSIZE PARENB, CS8;
  // c_lflag: ECHO ECHONL ICANON ISIG IEXTEN; then c_cc[VTIME], c_cc[VMIN] (asm-generic/termbits.h)
  raw.writeUInt32LE((raw.readUInt32LE(0) & ~0o2753) >>> 0, 0);
  raw.writeUInt32LE((raw.readUInt32LE(4) & ~1) >>> 0, 4);
  raw.writeUInt32LE(((raw.readUInt32LE(8) & ~0o460) | 0o60) >>> 0, 8);
  raw.writeUInt32LE((raw.readUInt32LE(12) & ~0o100113) >>> 0, 12);
  raw[17 + 5] = 0;
  raw[17 + 6] = 1;
  return raw;
}

/**
 * Has a terminal give whole lines, and show what is typed, whatever a program has left it as; what was typed before is dropped.
 * @returns what it was left as
 */
export function takeLines(terminal: Fd): Settings {
  const before = readSettings(terminal);
  const settings = Buffer.from(before);
  // c_iflag: ICRNL; c_oflag: OPOST ONLCR; c_lflag: ISIG ICANON ECHO ECHOE ECHOK
  for (const [at, bits] of [
    [0, 0o400],
    [4, 0o5],
    [12, 0o73],
  ] as const)
    settings.writeUInt32LE((settings.readUInt32LE(at) | bits) >>> 0, at);
  control(terminal, TCSETSF, settings);
  return before;
}

/** Gives one terminal the window size of another; the programs on it are told. */
export function copySize(from: Fd, to: Fd): void {
  const size = Buffer.alloc(8);
  control(from, TIOCGWINSZ, size);
  control(to, TIOCSWINSZ, size);
}

/** Shows a text on a terminal, between what else is shown. @returns false where it takes none now: it is stopped, or gone */
export function showOn(terminal: Fd, text: string): boolean {
  return (
    unless(["EAGAIN", "EIO", "ENXIO"], () => {
      using anew = openAt(null, terminal.procPath, O.WRONLY | O.NONBLOCK | O.NOCTTY);
      return writeTo(anew, Buffer.from(text)) > 0;
    }) ?? false
  );
}

/** Whether it is the program's end of a terminal that this user has made. */
export function isTerminalOf(file: Fd, uid: number): boolean {
  const { mode, rdev, uid: owner } = statAt(file);
  return (mode & S.IFMT) === S.IFCHR && rdev.major >= ptsMajors.first && rdev.major <= ptsMajors.last && owner === uid;
}

/** Where the machine has a terminal; undefined where it is another file, of another mount of terminals or by another name. */
export function terminalPathOf(file: Fd): string | undefined {
  const path = readLinkAt(null, file.procPath).toString("latin1");
  if (!/^\/dev\/pts\/\d+$/.test(path)) return undefined;
  const [attr, found] = [statAt(file), findAt(null, path)];
  return found !== undefined && found.ino === attr.ino && sameDevice(found, attr) ? path : undefined;
}

const ptsMajors = { first: 136, last: 143 }; // include/uapi/linux/major.h, UNIX98_PTY_SLAVE_MAJOR

/**
 * Makes a terminal this process's own: it must lead a session that has none, and the terminal be nobody's.
 * @throws {KernelError} EPERM
 */
export function takeTerminal(terminal: Fd): void {
  control(terminal, TIOCSCTTY, null);
}

/** The opposite, also where it was hung up meanwhile: whoever is left in its foreground is hung up on. */
export function leaveTerminal(terminal: Fd): void {
  unless(["ENOTTY", "EIO"], () => {
    control(terminal, TIOCNOTTY, null);
  });
}

function control(terminal: Fd, request: number, argument: Uint8Array | null): void {
  check("ioctl", terminal, ioctl_(terminal.number, request, argument));
}
