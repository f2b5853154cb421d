import { hasSource } from "./cloned.ts";
import { readChroots } from "./config.ts";
import { configDirectory } from "./files.ts";
import { keepKnown, type Known, type Outline, readKnown, stampOf } from "./known.ts";
import type { Problem } from "./problem.ts";
import type { Chroot } from "./types.ts";

/** All that is described, in outline. */
interface Overview {
  readonly chroots: readonly Outline[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** As readChroots(), for who lists them: hundreds are only looked at, where none was changed since the last time. */
export function readOverview(directory: string = configDirectory): Overview {
  const stamp = stampOf(directory);
  const known = stamp && readKnown(stamp);
  if (known !== undefined) return known;
  const { chroots, problems, warnings } = readChroots(directory);
  const found: Known = { chroots: chroots.map(outlineOf), problems, warnings, files: filesOf(chroots) };
  // What is described twice is none of the chroots, and whoever asks for it is to hear of both.
  if (stamp !== undefined && problems.length === 0) keepKnown(stamp, found);
  return found;
}

export function outlineOf(chroot: Chroot): Outline {
  const { name, aliases, type } = chroot;
  return { name, aliases, hasSource: hasSource(chroot), isPlain: type === "plain" };
}

function filesOf(chroots: readonly Chroot[]): Record<string, string[]> {
  const files: Record<string, string[]> = {};
  for (const { name, aliases, file } of chroots) for (const each of [name, ...aliases]) (files[each] ??= []).push(file);
  return files;
}
