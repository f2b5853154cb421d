import { UserError } from "../error.ts";
import { CLONE, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU } from "../kernel/abi/process.ts";
import { O } from "../kernel/abi/file.ts";
import { Fd } from "../kernel/fd.ts";
import { findAt, openAt, openDirectory, readAvailable, writeAll } from "../kernel/file.ts";
import { isCompiled } from "../kernel/libc.ts";
import { makePrivate } from "../kernel/mount.ts";
import { type Program, unshareThread } from "../kernel/process.ts";
import { spawn } from "../kernel/spawn.ts";
import { changeRoot, dieWithParent, exitNow, ignoreSignals, makePipe, pauseForever } from "../kernel/self.ts";
import { waitForChild } from "../kernel/wait.ts";
import { kernelSwitches, mountProc, openProc } from "./bounds.ts";

/**
 * A pid name space for one command. Its first process is this program again: it mounts the name space's own /proc
 * over the session's, for those inside only, and buries orphans. The command is a child of ours, so that it
 * stops, goes on and ends as any other.
 */
export interface PidSpace {
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
  /** The descriptor of a pipe: an empty line says that all is ready, another one why it isn't. */
  readonly ready: number;
}

const orderVariable = "FALLTHRU_INIT";

/** Starts the first process of a new pid name space in the session that is mounted there, and waits until it is ready. */
export function startPidSpace(mountPoint: string): PidSpace {
  using hostRoot = openDirectory("/");
  const [reading, writing] = makePipe();
  using ready = reading;
  const credentials = { uid: 0, gid: 0, groups: [] };
  const where = { root: hostRoot, credentials, directories: ["/"], network: "host", pidSpace: "new" } as const;
  let pid: number;
  {
    using inherits = writing;
    pid = spawn(where, initProgram({ mountPoint, ready: inherits.number }, inherits));
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
  return { root, mounts, processes, end };
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
function becomeFirst({ mountPoint }: InitOrder): string | undefined {
  try {
    unshareThread(CLONE.NEWNS);
    using everything = openDirectory("/");
    makePrivate(everything, "recursive");
    using root = openDirectory(mountPoint);
    using proc = openProc(root);
    // In a view of the host some are mounted read-only over its own /proc: that stays so.
    const readOnly = kernelSwitches.filter((name) => findAt(proc, name)?.isMountRoot === true);
    mountProc(proc, readOnly);
    // Not the host's: those inside can reach it as /proc/1/root.
    changeRoot(root);
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
