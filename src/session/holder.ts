import { O } from "../kernel/abi/file.ts";
import { unless } from "../kernel/error.ts";
import { openAt } from "../kernel/file.ts";
import { helperEnvironment, startHelper } from "../kernel/helper.ts";
import { waitUntilReady } from "../kernel/poll.ts";
import { makePipe } from "../kernel/self.ts";
import { openProcess } from "../kernel/wait.ts";

/** Waits, as who has a part in a session, until the process has ended. @param onReady called when that is certain to be seen */
export function holdWhile(pid: number, onReady: () => void): void {
  const opened = unless(["ESRCH"], () => openProcess(pid));
  if (opened === undefined) return;
  using program = opened;
  onReady();
  while (waitUntilReady([{ file: program }], -1).length === 0);
}

/**
 * Starts a process of ours that goes on without us, and waits until it says that it is ready, or has ended.
 * @param words of the verb, which closes its standard output when it is ready
 */
export function startHolder(words: readonly string[], patienceMs: number): void {
  const [reading, writing] = makePipe();
  using ready = reading;
  {
    using theirs = writing;
    using nothing = openAt(null, "/dev/null", O.RDWR);
    startHelper(process.execPath, [process.execPath, ...words], helperEnvironment, [nothing, theirs, nothing]);
  }
  waitUntilReady([{ file: ready }], patienceMs);
}
