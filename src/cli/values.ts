import { UserError } from "../error.ts";

const KiB = 1024;
const sizeUnits: readonly string[] = ["", "K", "M", "G", "T", "P"];
const secondsOf: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** `512M`, `1.5GiB`, `4096` → bytes; the units are powers of 1024. */
export function parseSize(text: string, what: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMGTP]?)(?:i?B)?$/i.exec(text);
  const bytes = match === null ? 0 : Number(match[1]) * KiB ** sizeUnits.indexOf((match[2] ?? "").toUpperCase());
  if (bytes < 1)
    throw new UserError("usage", `${what}: no size: ${text}`, {
      hint: "give bytes, or a number with K, M, G or T: 512M",
    });
  return Math.floor(bytes);
}

/** `90`, `30m`, `1h30m`, `7d` → seconds; a number without a unit is seconds. */
export function parseDuration(text: string, what: string): number {
  const hint = "give seconds, or numbers with s, m, h, d or w: 1h30m";
  if (!/^(\d+|(\d+[smhdw])+)$/.test(text)) throw new UserError("usage", `${what}: no duration: ${text}`, { hint });
  let seconds = 0;
  for (const [, count, unit = ""] of text.matchAll(/(\d+)([smhdw]?)/g)) {
    seconds += Number(count) * (secondsOf[unit] ?? 1);
  }
  return seconds;
}

/** `2`, `1.5`; more than nothing. */
export function parseNumber(text: string, what: string): number {
  const number = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (number <= 0) throw new UserError("usage", `${what}: no number above 0: ${text}`);
  return number;
}

/** Bytes for people: `512.0M`, `4.0K`, `17B`. */
export function sizeText(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= KiB && unit < sizeUnits.length - 1) [value, unit] = [value / KiB, unit + 1];
  return unit === 0 ? `${bytes}B` : `${value.toFixed(1)}${sizeUnits[unit]}`;
}

/** Seconds for people, in the two largest units: `3d4h`, `12m30s`, `0s`. */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [size, unit, smaller, smallerUnit] = sizes.find(([size]) => whole >= size) ?? [1, "s"];
  const rest = smaller === undefined ? 0 : Math.floor((whole % size) / smaller);
  return `${Math.floor(whole / size)}${unit}${rest === 0 ? "" : `${rest}${smallerUnit}`}`;
}

const sizes = [
  [86_400, "d", 3600, "h"],
  [3600, "h", 60, "m"],
  [60, "m", 1, "s"],
] as const;
