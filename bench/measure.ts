import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";

/** Samples of what is compared, in milliseconds, each under its name. */
export class Clock {
  readonly #samples = new Map<string, number[]>();

  /** Runs `work` and keeps how long it took. */
  time<T>(name: string, work: () => T): T {
    const start = performance.now();
    const result = work();
    this.add(name, performance.now() - start);
    return result;
  }

  add(name: string, ms: number): void {
    const samples = this.#samples.get(name);
    if (samples === undefined) this.#samples.set(name, [ms]);
    else samples.push(ms);
  }

  get(name: string): Series {
    const samples = this.#samples.get(name)?.toSorted((a, b) => a - b) ?? [];
    const [upper = Number.NaN, lower = upper] = [samples[samples.length >> 1], samples[(samples.length - 1) >> 1]];
    const [min = Number.NaN, max = Number.NaN] = [samples[0], samples.at(-1)];
    return { median: (upper + lower) / 2, min, max, count: samples.length };
  }
}

/** Milliseconds. */
export interface Series {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/**
 * Runs `round` once to warm up, its samples dropped, then `count` times. A round measures both sides one after the
 * other, so that whatever else the machine does meets both.
 * @param seconds after which, and after three rounds, what there is has to do
 */
export function repeat(count: number, round: (clock: Clock) => void, seconds = Infinity): Clock {
  round(new Clock());
  const clock = new Clock();
  const end = performance.now() + seconds * 1000;
  for (let index = 0; index < count && (index < 3 || performance.now() < end); index++) round(clock);
  return clock;
}

/** Runs a command to its end. @returns what it printed @throws where its status isn't 0 */
export function run(command: readonly string[], options: { input?: string } = {}): string {
  const [program = "", ...args] = command;
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, { ...options, encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command.join(" ")}: ${String(status ?? signal)}\n${stderr}`);
  return stdout;
}

/** One line of a table: a figure, what it is held against, and their ratio. */
export interface Row {
  readonly what: string;
  readonly ours: Series;
  readonly theirs: Series;
  /** "faster": theirs divided by ours; "slower": ours divided by theirs. */
  readonly ratio: "faster" | "slower";
  /** What the ratio ought to be at least ("faster") or at most ("slower"). */
  readonly wanted?: number;
}

/** A Markdown table. */
export function table(ours: string, theirs: string, rows: readonly Row[]): string {
  const head = ["", `${ours}, ms`, "min-max", `${theirs}, ms`, "min-max", "n", "ratio", "wanted"];
  return markdown([head, ...rows.map(cells)]);
}

function cells(row: Row): string[] {
  const ratio = row.ratio === "faster" ? row.theirs.median / row.ours.median : row.ours.median / row.theirs.median;
  const unit = row.ratio === "faster" ? "times as fast" : "times as long";
  const bound = row.ratio === "faster" ? "at least" : "at most";
  const count = Math.min(row.ours.count, row.theirs.count);
  const wanted = row.wanted === undefined ? "" : `${bound} ${row.wanted}`;
  return [row.what, ...figures(row.ours), ...figures(row.theirs), String(count), `${ratio.toFixed(2)} ${unit}`, wanted];
}

/** A table of figures that stand for themselves. */
export function plainTable(rows: readonly (readonly [what: string, series: Series, wanted?: string])[]): string {
  const lines = rows.map(([what, series, wanted = ""]) => [what, ...figures(series), String(series.count), wanted]);
  return markdown([["", "ms", "min-max", "n", "wanted"], ...lines]);
}

function figures({ median, min, max }: Series): [median: string, range: string] {
  return [shortTime(median), `${shortTime(min)}-${shortTime(max)}`];
}

/** Three figures are as many as mean anything. */
export function shortTime(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms.toFixed(ms >= 10 ? 1 : 2);
}

export function markdown([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (fields: readonly string[]): string => `| ${fields.join(" | ")} |`;
  return [line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

/** What the figures were measured on, in one line. */
export function machine(): string {
  const memory = /^MemTotal: *(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? "0";
  const gigabytes = Math.round(Number(memory) / 2 ** 20);
  const load = loadavg().map((value) => value.toFixed(1));
  return `Linux ${release()}, ${cpus().length} cores, ${gigabytes} GiB, load before ${load.join(" ")}`;
}

/** `--name=TEXT` of the command line. */
export function textOption(name: string): string | undefined {
  const prefix = `--${name}=`;
  return process.argv.find((word) => word.startsWith(prefix))?.slice(prefix.length);
}

/** `--name=NUMBER` of the command line, or the default. */
export function numberOption(name: string, otherwise: number): number {
  const text = textOption(name);
  return text === undefined ? otherwise : Number(text);
}

/** The words of the command line that aren't options. */
export function words(): string[] {
  return process.argv.slice(2).filter((word) => !word.startsWith("--"));
}
