/** What one kind takes with so many open. */
export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [open: number, ms: number])[];
}

const [width, height, left, bottom] = [720, 400, 70, 50];
const colours = ["#1b6ca8", "#c8452d", "#3b8a3e", "#8a5aa8", "#b07a1e"];

/** A picture (SVG) of milliseconds over sessions open, both on scales of powers of ten. */
export function plot(lines: readonly Line[]): string {
  const values = lines.flatMap(({ points }) => points.map(([, ms]) => ms));
  const opens = lines[0]?.points.map(([open]) => open) ?? [];
  const [low, high] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))];
  const last = Math.log10(Math.max(...opens, 2));
  const x = (open: number): number => left + (Math.log10(open) / last) * (width - left - 150);
  const y = (ms: number): number => height - bottom - ((Math.log10(ms) - low) / (high - low)) * (height - bottom - 30);
  const text = (at: readonly [number, number], words: string, more = ""): string =>
    `<text x="${at[0].toFixed(1)}" y="${at[1].toFixed(1)}" ${more}>${words}</text>`;
  const scale = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index)).map(
    (ms) =>
      `<line x1="${left}" x2="${width - 150}" y1="${y(ms)}" y2="${y(ms)}" stroke="#ddd"/>${text([left - 8, y(ms) + 4], `${ms} ms`, 'text-anchor="end"')}`,
  );
  const ticks = opens.map((open) => text([x(open), height - bottom + 20], String(open), 'text-anchor="middle"'));
  const drawn = lines.map(({ name, points }, index) => {
    const colour = colours[index % colours.length] ?? "#000";
    const path = points.map(([open, ms]) => `${x(open).toFixed(1)},${y(ms).toFixed(1)}`).join(" ");
    const end = points.at(-1) ?? [1, 1];
    return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${text([x(end[0]) + 8, y(end[1]) + 4], name, `fill="${colour}"`)}`;
  });
  const title = text([left, 18], "begin, run, end: milliseconds over sessions open");
  const body = [title, ...scale, ...ticks, text([x(opens.at(-1) ?? 1) - 60, height - 10], "sessions open"), ...drawn];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>\n${body.join("\n")}\n</svg>\n`;
}
