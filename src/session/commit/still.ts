import { UserError } from "../../error.ts";
import { unless } from "../../kernel/error.ts";
import { lock, openDirectory } from "../../kernel/file.ts";
import { detachMount } from "../../kernel/mount.ts";
import { removeTree } from "../../layer/remove.ts";
import type { Hold } from "../hold.ts";
import { mountPointOf, sessionDir } from "../paths.ts";
import { pause } from "../pause.ts";
import { describeProcess, lookInside } from "../processes.ts";
import type { RecordKind, SessionRecord } from "../record.ts";
import { mountAgain } from "../recover.ts";
import { isMounted } from "../state.ts";

/** A record, and how the session is kept. */
export type WholeRecord = SessionRecord & { readonly kind: RecordKind };

/**
 * Takes a session's mounts down, does something to its layers, and mounts it again. The caller holds the session and has
 * nothing of it open.
 * @throws {UserError} busy, where something runs in it
 */
export async function whileUnmounted(record: WholeRecord, hold: Hold, work: () => Promise<void>): Promise<void> {
  const { id } = record;
  const mountPoint = mountPointOf(id);
  using dir = openDirectory(sessionDir(id));
  // Whoever is just entering has it locked until the command runs.
  lock(dir, "exclusive");
  const wasMounted = isMounted(mountPoint);
  if (wasMounted) refuseInside(id);
  while (isMounted(mountPoint)) detachMount(mountPoint);
  for (const step of record.plan.steps) if (step.kind === "union") clearVolatile(step.union.work);
  try {
    await work();
  } finally {
    if (wasMounted) await mountAgain(record, hold, dir, "leave");
  }
}

function refuseInside(id: string): void {
  let look = lookInside(mountPointOf(id));
  // Somebody forks all the time, somewhere on the machine.
  for (let tries = 0; tries < 20 && !look.isEmpty && look.inside.length === 0; tries++) {
    pause(5);
    look = lookInside(mountPointOf(id));
  }
  const [pid] = [...look.inside, ...look.standing];
  if (pid === undefined) return;
  throw new UserError(
    "busy",
    `process ${pid} (${describeProcess(pid).command}) is in session ${id}, which must be mounted anew: directories were renamed in it`,
    { hint: "nothing was changed; do it again when that has ended, or leave these directories out" },
  );
}

/** overlayfs's mark that a union wasn't unmounted with all its data written: here it was, or the upper is thrown away anyway. */
function clearVolatile(work: string): void {
  const opened = unless(["ENOENT"], () => openDirectory(`${work}/work`));
  if (opened === undefined) return;
  using inner = opened;
  removeTree(inner, "incompat");
}
