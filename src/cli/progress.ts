import { isTerminal } from "../session/terminal.ts";
import { visible, write } from "./print.ts";

/** What is happening, told on stderr while it happens. */
export interface ProgressView {
  /** @param fraction how much of the whole is done, from 0 to 1, where that is known */
  show(text: string, fraction?: number): void;
  /** A line that stays. */
  line(text: string): void;
  /** Takes the bar away. */
  end(): void;
}

/** Where it is told, and by which clock. */
export interface Place {
  readonly kind: "terminal" | "file";
  readonly columns: number;
  readonly nowMs: () => number;
  readonly write: (text: string) => void;
}

/** A bar is drawn at most this often; a line about the same thing is printed at most that often. */
const barEveryMs = 100;
const lineEveryMs = 10_000;

/** A bar on a terminal, plain lines elsewhere; with `quiet` only the lines that stay. */
export function showProgress(mode: "quiet" | "shown", place: Place = standardError()): ProgressView {
  const line = (text: string) => place.write(`fallthru: ${visible(text)}\n`);
  if (mode === "quiet") return { show: () => {}, line, end: () => {} };
  return place.kind === "terminal" ? drawBar(place) : printLines(place, line);
}

const usual = { columns: 80, rows: 24 } as const;

/** Of the terminal on standard error; a serial line says 0 of each. */
export function terminalSize(): { readonly columns: number; readonly rows: number } {
  // process.stderr takes 9 ms to come to life, so it is touched only where there is a size to ask for.
  const { columns, rows } = process.stderr;
  return columns > 0 && rows > 0 ? { columns, rows } : usual;
}

function standardError(): Place {
  const kind = isTerminal(2) && process.env["TERM"] !== "dumb" ? "terminal" : "file";
  const columns = kind === "terminal" ? terminalSize().columns : usual.columns;
  return { kind, columns, nowMs: () => Date.now(), write: (text) => void write(2, text) };
}

function drawBar(place: Place): ProgressView {
  let [shown, drawnMs] = ["", -Infinity];
  const draw = (text: string) => place.write(`\r\u001b[K${text}`);
  return {
    show(text, fraction) {
      if (text === shown && place.nowMs() - drawnMs < barEveryMs) return;
      [shown, drawnMs] = [text, place.nowMs()];
      draw(barText(visible(text), fraction, place.columns - 1));
    },
    line: (text) => draw(`fallthru: ${visible(text)}\n`),
    end: () => draw(""),
  };
}

/** `[######--------]  42% install packages`, in so many columns. */
function barText(text: string, fraction: number | undefined, columns: number): string {
  if (fraction === undefined) return `${text} ...`.slice(0, columns);
  const share = Math.min(1, Math.max(0, fraction));
  const width = Math.min(30, columns - text.length - 8);
  const percent = `${String(Math.floor(share * 100)).padStart(3)}% ${text}`;
  if (width < 5) return percent.slice(0, columns);
  const full = Math.round(share * width);
  return `[${"#".repeat(full)}${"-".repeat(width - full)}] ${percent}`;
}

function printLines(place: Place, line: (text: string) => void): ProgressView {
  let [shown, printedMs] = ["", -Infinity];
  return {
    show(text, fraction) {
      if (text === shown && place.nowMs() - printedMs < lineEveryMs) return;
      line(text === shown && fraction !== undefined ? `${text}: ${Math.floor(fraction * 100)}%` : text);
      [shown, printedMs] = [text, place.nowMs()];
    },
    line,
    end: () => {},
  };
}
