import { UserError } from "../../error.ts";
import { beginAutomatic, beginSession } from "../../session/begin.ts";
import { builderOf, endWithBuilder } from "../../session/builder.ts";
import { endAutomatic, endSession } from "../../session/end.ts";
import { mountPointOf } from "../../session/paths.ts";
import { undoSession } from "../../session/remains.ts";
import type { SessionOptions } from "../../session/types.ts";
import { type Asker, mayBeRoot } from "./access.ts";
import type { Caller } from "./caller.ts";
import { groupText, sessionKeys } from "./keys.ts";
import { explainSetup, setupContext } from "./setup.ts";
import { refusal, tell } from "./messages.ts";
import { withRequest } from "./modify.ts";
import type { Request } from "./request.ts";
import { isPlain } from "./described.ts";
import { readSession, type Subject } from "./subjects.ts";
import { runInside } from "./sessions.ts";

/** Begins a session and says its id. */
export async function begin(subject: Subject, request: Request, caller: Caller, asker: Asker): Promise<number> {
  const { id, options } = plan(subject, request, caller, asker);
  // Asked now: who is killed meanwhile isn't found any more. By a name of its own it could be another's by then.
  using builder = request.sessionName === undefined ? builderOf(caller.pid) : undefined;
  const begun = await explainTaken(id, () => beginSession(subject.chroot ?? subject.name, options));
  if (builder !== undefined) endWithBuilder(id, builder, caller.uid);
  for (const warning of begun.warnings) tell(caller, "W", warning);
  try {
    await stopIfInterrupted(caller);
    caller.say(1, `${id}\n`);
    if (caller.isHeard?.() === false) throw refusal("Nobody reads the session’s ID: the session is ended");
  } catch (error) {
    // Nobody would know of a session whose id couldn't be told.
    await endSession(id, { force: true, setup: options.setup });
    throw error;
  }
  return 0;
}

/** Begins a session, runs in it and ends it, whatever became of the command. */
export async function runAutomatically(
  subject: Subject,
  request: Request,
  caller: Caller,
  asker: Asker,
): Promise<number> {
  const { id, options } = plan(subject, request, caller, asker);
  const { hold, begun } = await explainTaken(id, () => beginAutomatic(subject.chroot ?? subject.name, options));
  let status: number;
  try {
    for (const warning of begun.warnings) tell(caller, "W", warning);
    await stopIfInterrupted(caller);
    const session = readSession(id);
    if (session === undefined) throw new Error(`no description of the session ${id}`);
    status = await runInside(session, request, caller);
  } catch (error) {
    await undoSession(hold, options.setup);
    throw error;
  }
  const { warnings } = await explainSetup(id, () => endAutomatic(hold, options, begun.record));
  for (const warning of warnings) tell(caller, "W", warning);
  return status;
}

/** A signal that ends programs came while the session was begun. @throws {UserError} */
async function stopIfInterrupted(caller: Caller): Promise<void> {
  const status = await caller.interrupted?.();
  if (status === undefined) return;
  const { signalText } = await import("./signals.ts");
  throw refusal(`Caught signal ‘${signalText(status - 128)}’: terminating immediately`);
}

/** A session of a chroot whose changes aren't kept apart changes the chroot, as a source's always does. */
function plan(
  subject: Subject,
  request: Request,
  caller: Caller,
  asker: Asker,
): { id: string; options: SessionOptions } {
  const id = request.sessionName ?? `${subject.name.slice(0, 90)}-${crypto.randomUUID()}`;
  // A plain chroot is a session of its own name.
  if (request.sessionName !== undefined && isPlain(id)) throw refusal(`${id}: Invalid session name`);
  const asked = withRequest(subject.keys, request);
  const keys = sessionKeys(asked, {
    id,
    mountPoint: mountPointOf(id),
    originalName: subject.name,
    selectedName: subject.selectedName,
    creator: asker.name,
    mayBeRoot: mayBeRoot(subject.keys, asker),
  });
  const isSource = subject.namespace === "source";
  return {
    id,
    options: {
      name: id,
      ...(asker.uid === 0 ? {} : { visitor: asker.uid }),
      schrootFile: groupText(id, keys),
      setup: setupContext(asked, subject.selectedName, { caller, user: request.user }),
      ...(isSource ? { source: true } : subject.isCloned ? {} : { union: "none" }),
    },
  };
}

async function explainTaken<T>(id: string, work: () => Promise<T>): Promise<T> {
  try {
    return await explainSetup(id, work);
  } catch (error) {
    const isTaken = error instanceof UserError ? error.code === "exists" : String(error).includes("(EEXIST)");
    if (!isTaken) throw error;
    throw refusal(
      `${id}: Failed to lock chroot: /var/lib/schroot/session/${id}: Failed to write session file: File exists`,
    );
  }
}
