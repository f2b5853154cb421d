import { birthTime, type KnownTime } from "../kernel/at.ts";
import { readMark } from "../layer/dialect/overlay.ts";
import { type Core, locate, place } from "./core.ts";
import type { Inode } from "./inode.ts";
import { originBirthTime } from "./origin.ts";

/**
 * When an inode was made: a copy has its original's time, as it has its st_ino. undefined: nobody knows, or who does may
 * keep us waiting.
 */
export function birthTimeOf(core: Core, inode: Inode): KnownTime | undefined {
  const directory = inode.lowerDirs[0];
  if ((directory ?? inode.lowerDir)?.layer.isRemote === true) return undefined;
  if (directory !== undefined) return birthTime(directory.fd, "");
  if (inode.lowerDir !== undefined) return birthTime(inode.lowerDir.fd, inode.lowerName);
  locate(core, inode);
  const { fd, name } = place;
  const marks = core.upper?.marks;
  const origin = inode.hasOriginMark && marks !== undefined ? readMark(fd, name, marks.origin) : undefined;
  return (origin === undefined ? undefined : originBirthTime(core, origin)) ?? birthTime(fd, name);
}
