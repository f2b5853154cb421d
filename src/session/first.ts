import { superuserPath } from "../places.ts";
import { O } from "../kernel/abi/file.ts";
import { SIGCHLD } from "../kernel/abi/process.ts";
import type { Fd } from "../kernel/fd.ts";
import { openAt, openDirectory } from "../kernel/file.ts";
import { spawn } from "../kernel/spawn.ts";
import { makePipe } from "../kernel/self.ts";
import { waitForChild } from "../kernel/wait.ts";

/** The first process of a new pid name space, for which somebody else mounts what is to be seen inside. */
export interface FirstProcess {
  readonly processes: Fd;
  /** Kills all that is left inside, and waits until it is dead. */
  end(): Promise<void>;
}

/**
 * It is cat(1), which waits for what we never write: it starts in a millisecond and takes 0.2 MiB, where this program would take 30 and
 * 10. The kernel buries orphans for it, and keeps from it all signals of those inside. It ends when we do, however that happens, for then
 * its input has; and with it, at once, all that is inside. Its root is the machine's: it has all capabilities, and to whoever inside
 * hasn't (boundedCapabilities) `/proc/1/root` is closed.
 */
export function startFirst(): FirstProcess {
  const [reading, input] = makePipe();
  using theirs = reading;
  using undo = new DisposableStack();
  undo.use(input);
  using hostRoot = openDirectory("/");
  using nothing = openAt(null, "/dev/null", O.RDWR);
  const credentials = { uid: 0, gid: 0, groups: [] };
  const where = { root: hostRoot, credentials, directories: ["/"], network: "host", pidSpace: "new" } as const;
  const descriptors = [theirs, nothing, nothing] as const;
  const attachment = { descriptors, leads: "session", umask: 0o022, fileLimit: 1024, ignored: [SIGCHLD] } as const;
  const pid = spawn(where, { file: "cat", argv: ["cat"], env: { PATH: superuserPath }, attachment });
  const processes = openAt(null, `/proc/${pid}/ns/pid`, O.RDONLY);
  undo.move();
  const end = async (): Promise<void> => {
    processes.close();
    input.close();
    process.kill(pid, "SIGKILL");
    await waitForChild(pid);
  };
  return { processes, end };
}
