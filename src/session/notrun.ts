import { UserError } from "../error.ts";
import { KernelError } from "../kernel/error.ts";

/** A command that isn't there (127) or can't be executed (126): what a shell's exit status would be. */
export class CommandNotRun extends UserError {
  readonly status: 126 | 127;

  constructor(error: KernelError) {
    super(error.errno === "ENOENT" ? "not-found" : "failed", error.message, { cause: error });
    this.status = error.errno === "ENOENT" ? 127 : 126;
  }
}

/** Runs `start`, which starts a command; that this can't be run becomes a CommandNotRun. */
export function explainNotRun<T>(start: () => T): T {
  try {
    return start();
  } catch (error) {
    if (error instanceof KernelError && error.syscall === "run") throw new CommandNotRun(error);
    throw error;
  }
}
