import { CLONE } from "../kernel/abi/process.ts";
import { RESOLVE, O } from "../kernel/abi/file.ts";
import { openAt, openDirectory } from "../kernel/file.ts";
import { isCompiled, type Path } from "../kernel/libc.ts";
import { attachMount, makeMount, makePrivate } from "../kernel/mount.ts";
import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import { type Credentials, type Program, spawn, unshareThread } from "../kernel/process.ts";
import { reapUntil } from "../kernel/wait.ts";
import { explainNotRun } from "./notrun.ts";

/** What the first process of a session's pid name space is told: as JSON in its environment, which others can't read. */
export interface InitOrder {
  readonly mountPoint: string;
  readonly credentials: Credentials;
  readonly directories: readonly Path[];
  readonly program: Program;
  /** The caller's, whom one can't see from inside. */
  readonly fileLimit: number | undefined;
}

const orderVariable = "FALLTHRU_INIT";

/** This program again, as the first process of a new pid name space. */
export function initProgram(order: InitOrder): Program {
  const self = isCompiled ? [process.execPath, "init"] : [process.execPath, import.meta.filename];
  return { file: process.execPath, argv: self, env: { [orderVariable]: JSON.stringify(order) } };
}

/**
 * The first process of a pid name space: mounts its /proc over the session's, for itself and its children only, starts the
 * command, and buries whatever dies until the command does. When it exits, the kernel kills all that is left.
 */
export async function runInit(): Promise<number> {
  const order = JSON.parse(process.env[orderVariable] ?? "", reviveBytes) as InitOrder;
  unshareThread(CLONE.NEWNS);
  {
    using everything = openDirectory("/");
    makePrivate(everything, "recursive");
  }
  using root = openDirectory(order.mountPoint);
  {
    using proc = makeMount("proc", [["source", "proc"]], MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC);
    using target = openAt(root, "/proc", O.PATH | O.DIRECTORY, { resolve: RESOLVE.IN_ROOT });
    attachMount(proc, target);
  }
  const { credentials, directories, fileLimit } = order;
  const where = { root, credentials, directories, network: "host", fileLimit } as const;
  const pid = explainNotRun(() => spawn(where, order.program));
  return await reapUntil(pid);
}

/** What Buffer's own toJSON() makes. */
function reviveBytes(_key: string, value: unknown): unknown {
  const isBytes = typeof value === "object" && value !== null && "type" in value && value.type === "Buffer";
  return isBytes && "data" in value ? Buffer.from(value.data as number[]) : value;
}

// Where there is no executable that is this program (the library on Node), this file is started by itself.
if (!isCompiled && process.argv[1] === import.meta.filename) {
  process.exit(await runInit());
}
