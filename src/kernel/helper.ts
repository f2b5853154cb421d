import { POSIX_SPAWN_SETSID } from "./abi/process.ts";
import { superuserPath } from "../places.ts";
import { errnoName, KernelError } from "./error.ts";
import type { Fd } from "./fd.ts";
import { cString, type Path, withoutErrno } from "./libc.ts";
import { withPointers } from "./process.ts";
import { actionsDestroy_, copyAbove, makeActions, makeAttributes } from "./stdio.ts";

const posixSpawn_ = withoutErrno("posix_spawn", "int", ["void *", "void *", "void *", "void *", "void *", "void *"]);
const actionsCloseFrom_ = withoutErrno("posix_spawn_file_actions_addclosefrom_np", "int", ["void *", "int"]);
const actionsChdir_ = withoutErrno("posix_spawn_file_actions_addchdir_np", "int", ["void *", "void *"]);

/** All that a process of ours has of an environment: what users or callers have in theirs isn't for what has our rights. */
export const helperEnvironment: readonly string[] = [`PATH=${superuserPath}`];

/**
 * Starts a process with the working directory `/`, every signal at its default, and exactly these descriptors:
 * `descriptors[0]` as its stdin, and so on. In a session (setsid(2)) of its own it goes on without us.
 * @returns its process id; it is our child, so to be waited for, or left to whoever adopts it
 * @throws {KernelError} ENOENT, EACCES of `file`; EMFILE: for a moment this process needs as many more descriptors; EAGAIN, ENOMEM
 * @see posix_spawn(3)
 */
export function startHelper(
  file: Path,
  argv: readonly Path[],
  env: readonly Path[],
  descriptors: readonly Fd[],
  session: "its own" | "ours" = "its own",
): number {
  // Above all that they are to become, so that none is overwritten before it is copied.
  const copies = copyAbove(descriptors, descriptors.length);
  const attributes = makeAttributes(session === "its own" ? POSIX_SPAWN_SETSID : 0, []);
  const actions = makeActions(copies);
  const pid = Buffer.alloc(4);
  try {
    actionsCloseFrom_(actions, descriptors.length);
    actionsChdir_(actions, cString("/"));
    const errno = withPointers(argv, (words) =>
      withPointers(env, (lines) => posixSpawn_(pid, cString(file), actions, attributes, words, lines)),
    );
    if (errno !== 0) throw new KernelError({ syscall: "run", path: file, errno: errnoName(errno) });
    return pid.readInt32LE(0);
  } finally {
    actionsDestroy_(actions);
    for (const copy of copies) copy.close();
  }
}
