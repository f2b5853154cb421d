import { Fd } from "../kernel/fd.ts";
import { isTerminal as isTerminalFile } from "../kernel/terminal.ts";

/** Whether standard input (0), output or error is a terminal: node:tty costs a start 3 ms, node:fs 1.2. */
export function isTerminal(fd: number): boolean {
  return isTerminalFile(new Fd(fd, `descriptor ${fd}`));
}
