import { UserError } from "../../error.ts";
import { endSession } from "../../session/end.ts";
import { isOwnSession } from "../../session/there.ts";
import type { Caller } from "./caller.ts";
import { refusal, tell } from "./messages.ts";
import { explainSetup, setupContext } from "./setup.ts";
import type { Request } from "./request.ts";
import { isStill, notFound, type Subject } from "./subjects.ts";

/** Ends one session. @returns exit status */
export async function endOne(subject: Subject, request: Request, caller: Caller): Promise<number> {
  const { name, keys } = subject;
  const setup = setupContext(keys, keys["selected-name"] ?? name, { caller, user: request.user });
  if (!isOwnSession(name, keys["mount-location"])) {
    const { endForeignSession } = await import("../../session/foreign.ts");
    await explainSetup(name, () => endForeignSession(name, keys, { force: request.isForced, setup }));
    return 0;
  }
  try {
    const { warnings } = await explainSetup(name, () =>
      endSession(name, { force: request.isForced, setup, isMeant: () => isStill(subject) }),
    );
    for (const warning of warnings) tell(caller, "W", warning);
  } catch (error) {
    if (error instanceof UserError && error.code === "not-found") throw notFound([name]);
    throw error;
  }
  return 0;
}

/** Mounts a session again where the machine was restarted. Whoever recovers one recovers all. @returns exit status */
export async function recoverOne({ name, keys }: Subject, request: Request, caller: Caller): Promise<number> {
  if (!isOwnSession(name, keys["mount-location"])) {
    const { recoverForeignSession } = await import("../../session/foreign.ts");
    const setup = setupContext(keys, keys["selected-name"] ?? name, { caller, user: request.user });
    await explainSetup(name, () => recoverForeignSession(name, keys, setup));
    return 0;
  }
  const { recoverSessions } = await import("../../session/recover.ts");
  const lost = (await recoverSessions()).lost.find(({ id }) => id === name);
  if (lost === undefined) return 0;
  throw refusal(`${name}: Chroot setup failed: stage=setup-recover`, lost.reason);
}
