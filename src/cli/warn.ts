import type { Common } from "./command.ts";
import { visible, write } from "./print.ts";

/** What went on but not quite as asked, on stderr, a line each; not with --quiet. */
export function warn(lines: readonly string[], { quiet }: Common): void {
  if (!quiet && lines.length > 0) write(2, lines.map((line) => `fallthru: warning: ${visible(line)}\n`).join(""));
}
