import { unless } from "../kernel/error.ts";
import { readFile } from "../kernel/file.ts";
import { foregroundGroup, groupOf, isForeground, setForegroundGroup } from "../kernel/self.ts";
import { waitForChild } from "../kernel/wait.ts";
import { send } from "./signals.ts";

/** How a child ended. */
export type ChildEnd = { readonly status: number } | { readonly signal: number };

/**
 * Waits for a child as a shell does: what stops it stops us, and nothing but its own end ends the waiting.
 * @returns its exit status; 128 and the signal's number where a signal killed it
 */
export async function waitAsShell(pid: number): Promise<number> {
  const end = await waitForEnd(pid);
  return "status" in end ? end.status : 128 + end.signal;
}

/** As waitAsShell(), for those who tell a signal from a status. */
export async function waitForEnd(pid: number): Promise<ChildEnd> {
  for (;;) {
    const outcome = await waitForChild(pid);
    switch (outcome.kind) {
      case "exited":
        return { status: outcome.status };
      case "killed":
        return { signal: outcome.signal };
      case "stopped":
        if (await staysStopped(pid)) stopWith(pid);
    }
  }
}

/**
 * As sudo(8) does: the shell that started us sees us stopped, and `fg` wakes both. A shell inside that had the terminal
 * as a group of its own gets it back then.
 */
function stopWith(pid: number): void {
  const group = groupOf(pid);
  const hadTerminal = foregroundGroup() === group;
  process.kill(process.pid, "SIGSTOP");
  if (hadTerminal && isForeground()) setForegroundGroup(group);
  send(pid, "SIGCONT");
}

/**
 * Whether a stopped child is that still, after a moment. Where its whole group was stopped, we were too, and hear of
 * it only when somebody woke us all.
 */
async function staysStopped(pid: number): Promise<boolean> {
  await new Promise((done) => setTimeout(done, 2));
  const stat = unless(["ENOENT"], () => readFile(`/proc/${pid}/stat`));
  return stat !== undefined && stat.toString("latin1", stat.lastIndexOf(")") + 2).startsWith("T");
}
