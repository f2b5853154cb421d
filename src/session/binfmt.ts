import { O, RESOLVE } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import { openAt, openDirectory, readAvailable } from "../kernel/file.ts";

/** Whether the programs of a root are for another machine than this one. */
export function isForeignRoot(path: string): boolean {
  const own = machineOf("/proc/self/exe", "/");
  const theirs = machineOf("/bin/sh", path);
  return theirs !== undefined && own !== undefined && theirs !== own;
}

/** `e_machine` and the class of an ELF file; undefined for anything else. @see elf(5) */
function machineOf(file: string, root: string): number | undefined {
  const opened = unless(["ENOENT", "ENOTDIR", "ELOOP"], () => {
    using directory = openDirectory(root);
    const resolve = root === "/" ? 0 : RESOLVE.IN_ROOT;
    return openAt(root === "/" ? null : directory, file, O.RDONLY | O.NONBLOCK, { resolve });
  });
  if (opened === undefined) return undefined;
  using program = opened;
  const head = readAvailable(program);
  if (head.length < 20 || head.toString("latin1", 0, 4) !== "\u007fELF") return undefined;
  return head.readUInt16LE(18) * 256 + (head[4] ?? 0);
}
