import { UserError } from "../error.ts";
import { CLONE, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU } from "../kernel/abi/process.ts";
import { O, RESOLVE } from "../kernel/abi/file.ts";
import { MOUNT_ATTR } from "../kernel/abi/mount.ts";
import { Fd } from "../kernel/fd.ts";
import { findAt, openAt, openDirectory, readAvailable, writeAll } from "../kernel/file.ts";
import { isCompiled } from "../kernel/libc.ts";
import { attachMount, makeFollower, makeMount, makePrivate } from "../kernel/mount.ts";
import { type Program, spawn, unshareThread } from "../kernel/process.ts";
import {
  changeRoot,
  dieWithParent,
  exitNow,
  ignoreSignals,
  makePipe,
  pauseForever,
  replaceRoot,
} from "../kernel/self.ts";
import { waitForChild } from "../kernel/wait.ts";
import { boundMounts, type Bounds, kernelSwitches, showReadOnly } from "./bounds.ts";

/**
 * A pid name space for one command. Its first process is this program again: it mounts the name space's own /proc
 * over the session's, for those inside only, and buries orphans. The command is a child of ours, so that it
 * stops, goes on and ends as any other.
 */
export interface PidSpace {
  /** Its first process, as we see it. */
  readonly first: number;
  /** The session's root, with the /proc of this name space. */
  readonly root: Fd;
  readonly mounts: Fd;
  readonly processes: Fd;
  /** Kills all that is left inside, and waits until it is dead. */
  end(): Promise<void>;
}

/** What the first process is told, as JSON in its environment. */
interface InitOrder {
  readonly mountPoint: string;
  /** Where root is bound: see boundMounts(). */
  readonly bounds?: Bounds | undefined;
  /** The descriptor of a pipe: an empty line says that all is ready, another one why it isn't. */
  readonly ready: number;
}

const orderVariable = "FALLTHRU_INIT";

/**
 * Starts the first process of a new pid name space in the session that is mounted there, and waits until it is ready.
 * @param bounds without them root inside has the machine's devices, mounts and kernel
 */
export function startPidSpace(mountPoint: string, bounds?: Bounds): PidSpace {
  using hostRoot = openDirectory("/");
  const [reading, writing] = makePipe();
  using ready = reading;
  const credentials = { uid: 0, gid: 0, groups: [] };
  const where = { root: hostRoot, credentials, directories: ["/"], network: "host", pidSpace: "new" } as const;
  let pid: number;
  {
    using inherits = writing;
    pid = spawn(where, initProgram({ mountPoint, bounds, ready: inherits.number }, inherits));
  }
  const said = readAvailable(ready).toString("utf8");
  if (said !== "\n") {
    throw new UserError("failed", `the pid name space's first process ended${said === "" ? "" : `: ${said.trim()}`}`);
  }
  const root = openAt(null, `/proc/${pid}/root`, O.PATH | O.DIRECTORY);
  const mounts = openAt(null, `/proc/${pid}/ns/mnt`, O.RDONLY);
  const processes = openAt(null, `/proc/${pid}/ns/pid`, O.RDONLY);
  const end = async (): Promise<void> => {
    for (const fd of [root, mounts, processes]) fd.close();
    process.kill(pid, "SIGKILL");
    await waitForChild(pid);
  };
  return { first: pid, root, mounts, processes, end };
}

function initProgram(order: InitOrder, inherits: Fd): Program {
  const argv = isCompiled() ? [process.execPath, "init"] : [process.execPath, import.meta.filename];
  return { file: process.execPath, argv, env: { [orderVariable]: JSON.stringify(order) }, inherits };
}

/** The first process of a pid name space: ends only when it is killed, and all others in the name space with it. */
export function runInit(): never {
  const order = JSON.parse(process.env[orderVariable] ?? "") as InitOrder;
  using ready = new Fd(order.ready, "pipe");
  // Orphans are buried; a terminal's keys and hanging up are for the others (Bun has handlers of its own for them).
  ignoreSignals([SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU]);
  dieWithParent();
  const reason = becomeFirst(order);
  // Where our parent died before dieWithParent(), nobody has the other end, and this fails.
  writeAll(ready, Buffer.from(`${reason ?? ""}\n`));
  if (reason !== undefined) exitNow(1);
  ready.close();
  pauseForever();
}

/** @returns why it can't be */
function becomeFirst({ mountPoint, bounds }: InitOrder): string | undefined {
  try {
    unshareThread(CLONE.NEWNS);
    using everything = openDirectory("/");
    // What is shared goes on following what the host mounts there.
    if (bounds === undefined) makePrivate(everything, "recursive");
    else makeFollower(everything);
    using root = openDirectory(mountPoint);
    using proc = makeMount("proc", [["source", "proc"]], MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC);
    using target = openAt(root, "/proc", O.PATH | O.DIRECTORY, { resolve: RESOLVE.IN_ROOT });
    const readOnly = kernelSwitches.filter((name) => findAt(target, name)?.isMountRoot === true);
    attachMount(proc, target);
    // In a view of the host some are mounted read-only over its own /proc: that stays so.
    for (const name of bounds === undefined ? readOnly : kernelSwitches) showReadOnly(proc, proc, name);
    // Not the host's: those inside can reach it as /proc/1/root.
    if (bounds === undefined) changeRoot(root);
    else {
      boundMounts(root, mountPoint, bounds);
      replaceRoot(root);
    }
    return undefined;
  } catch (error) {
    if (error instanceof Error) return error.message;
    throw error;
  }
}

// Where there is no executable that is this program (the library on Node), this file is started by itself.
if (!isCompiled() && process.argv[1] === import.meta.filename) {
  runInit();
}
