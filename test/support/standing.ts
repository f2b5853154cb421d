import { spawn } from "node:child_process";
import { once } from "node:events";

/** A process whose working directory that is: the kernel doesn't forget it then, however often others have it drop its caches. */
export function standIn(directory: string): AsyncDisposable & { leave(): Promise<void> } {
  const child = spawn("sleep", ["100"], { cwd: directory, stdio: "ignore" });
  const ended = once(child, "exit");
  const leave = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  return { leave, [Symbol.asyncDispose]: leave };
}
