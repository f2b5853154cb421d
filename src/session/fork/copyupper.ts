import { mkdirSync } from "node:fs";
import { E } from "../../kernel/abi/errno.ts";
import { O } from "../../kernel/abi/file.ts";
import { chownName, closeFd, must, openName, unlinkName } from "../../kernel/at.ts";
import { unless } from "../../kernel/error.ts";
import { openDirectory } from "../../kernel/file.ts";
import { cloneFile, writeAt } from "../../kernel/io.ts";
import type { Union } from "../../mount/plan.ts";
import { type CopyPair, copyTrees } from "./copy.ts";

type Pair = Pick<Union, "upper" | "work">;

/**
 * Copies an upper into another one that is empty, with the index by which copied-up files find their further names.
 * @returns how many entries changed faster than they could be copied
 */
export function copyUpper(from: Pair, to: Pair): number {
  using opened = new DisposableStack();
  const open = (path: string) => opened.use(openDirectory(path));
  const pairs: CopyPair[] = [{ from: open(from.upper), to: open(to.upper), isWhole: true }];
  const index = unless(["ENOENT"], () => open(`${from.work}/index`));
  if (index !== undefined) {
    mkdirSync(`${to.work}/index`, { mode: 0o700 });
    pairs.push({ from: index, to: open(`${to.work}/index`), isWhole: false });
  }
  return copyTrees(pairs, hasOwners(to.work));
}

const probe = "#probe";

/** Whether files can belong to others than those that the mount of the file system says. */
function hasOwners(directory: string): boolean {
  using open = openDirectory(directory);
  closeFd(must("create", probe, openName(open.number, probe, O.WRONLY | O.CREAT | O.NOFOLLOW, 0o600)));
  const result = chownName(open.number, probe, 1, 1);
  must("unlink", probe, unlinkName(open.number, probe));
  return ![-E.PERM, -E.OPNOTSUPP, -E.NOSYS].includes(result);
}

/** Whether files can share blocks there. */
export function hasReflinks(directory: string): boolean {
  using open = openDirectory(directory);
  const names = [probe, `${probe}2`];
  const files = names.map((name) =>
    must("create", name, openName(open.number, name, O.RDWR | O.CREAT | O.NOFOLLOW, 0o600)),
  );
  const [from = -1, to = -1] = files;
  try {
    writeAt(from, Buffer.alloc(4096, 1), 0);
    return cloneFile(from, to) === 0;
  } finally {
    for (const fd of files) closeFd(fd);
    for (const name of names) unlinkName(open.number, name);
  }
}
