import { statSync } from "node:fs";
import { resolve } from "node:path";
import { UserError } from "../../error.ts";
import { mountFallthru } from "../../mount/fallthru/mount.ts";
import { parseMountOptions } from "../../mount/fallthru/options.ts";
import { isUsers } from "../../places.ts";
import { command } from "../command.ts";

export const mount = command({
  name: "mount",
  summary: "mount a union of directories",
  description: [
    "Shows several directories, the layers, as one at TARGET. What is changed there is written to the upper directory, in overlayfs's own format; without one the union is read-only. It is served by a process of its own, which umount(8) ends.",
    "Options are overlayfs's: lowerdir=TOP:...:BOTTOM, upperdir=DIR, workdir=DIR (on the upper's file system; by default the upper's name and .work), index=off, metacopy=off, redirect_dir=off, userxattr; passthrough=off asks the server for nothing where a file is opened or closed, and has all data go through it; dialect=aufs writes the upper in aufs's format, as is done by itself where its file system can't hold overlayfs's marks, and lowerdialect=aufs reads the lowers so; ro and the other options of mount(8) too. A backslash stands before a colon or comma that belongs to a name. With the program mount.fallthru in /sbin, mount -t fallthru and fstab(5) work as well.",
  ],
  operands: { target: { arity: "one", completes: "directory", summary: "where to mount it" } },
  options: {
    option: {
      type: "strings",
      short: "o",
      placeholder: "OPTION,...",
      summary: "lowerdir=, upperdir=, workdir=, ro, ...",
    },
  },
  examples: [
    {
      line: "fallthru mount -o lowerdir=/srv/base,upperdir=/srv/changes,workdir=/srv/work /mnt",
      does: "/srv/base, with all changes in /srv/changes",
    },
    { line: "fallthru mount -o lowerdir=/srv/top:/srv/base /mnt", does: "two directories as one, read-only" },
    { line: "umount /mnt", does: "ends it" },
  ],
  exits: { 3: "no such directory" },
  json: [{ name: "target", type: "string", summary: "where it is mounted" }],
  run: ({ target }, { option }) => {
    if (isUsers)
      throw new UserError("unsupported", "mount needs root, of this machine or of a user name space", {
        hint: "where only you see it: unshare --map-root-user --mount, and mount it in that shell; or a session: fallthru run --bind",
      });
    return { data: { target: mountAt(option, "fallthru", target) } };
  },
});

/** Also for mount.fallthru. @returns the absolute path of the target */
export function mountAt(options: readonly string[], source: string, target: string): string {
  const path = resolve(target);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new UserError("not-found", `no directory ${path}`);
  }
  mountFallthru(
    parseMountOptions(options, source, (name) => resolve(name)),
    path,
  );
  return path;
}
