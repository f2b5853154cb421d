import { isErrno } from "../kernel/error.ts";
import { isTerminal } from "../kernel/file.ts";
import { waitForChild } from "../kernel/wait.ts";

/** Signals that end a program and that reach only us when somebody means the command. */
const forwarded = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
/** Signals of the terminal's keys: the kernel sends them to the whole foreground group, so to the command too. */
const keys = ["SIGINT", "SIGQUIT"] as const;

/**
 * Waits for a child as a shell does: what stops it stops us, what is sent to us reaches it, and nothing but its own end
 * ends the waiting.
 * @returns its exit status; 128 and the signal's number where a signal killed it
 */
export async function waitAsShell(pid: number): Promise<number> {
  const send = (signal: NodeJS.Signals) => {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (!isErrno(error, "ESRCH")) throw error;
    }
  };
  const ignore = () => {};
  for (const signal of forwarded) process.on(signal, send);
  for (const signal of keys) process.on(signal, isTerminal(0) ? ignore : send);
  try {
    for (;;) {
      const outcome = await waitForChild(pid);
      switch (outcome.kind) {
        case "exited":
          return outcome.status;
        case "killed":
          return 128 + outcome.signal;
        case "stopped":
          // As su(1) does: the shell that started us sees us stopped, and `fg` wakes both.
          process.kill(process.pid, "SIGSTOP");
          send("SIGCONT");
      }
    }
  } finally {
    for (const signal of forwarded) process.off(signal, send);
    for (const signal of keys) process.off(signal, ignore).off(signal, send);
  }
}
