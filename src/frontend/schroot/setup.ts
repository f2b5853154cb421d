import { UserError } from "../../error.ts";
import { findHostUser } from "../../session/accounts.ts";
import { failedStage } from "../../session/setupfailed.ts";
import type { SetupContext } from "../../session/types.ts";
import type { Caller } from "./caller.ts";
import type { Keys } from "./keys.ts";
import { refusal } from "./messages.ts";

/**
 * What setup scripts are told of the caller, who sees what they say.
 * @param asked as whom the caller wants to be, if that isn't themselves
 */
export function setupContext(
  keys: Keys,
  selectedName: string,
  { caller, user }: { readonly caller: Caller; readonly user: string | undefined },
): SetupContext {
  const verbosity = (["quiet", "verbose"] as const).find((word) => word === keys["message-verbosity"]);
  return {
    keys,
    selectedName,
    get user() {
      const { name, uid, gid, home, shell } = (user === undefined ? undefined : findHostUser(user)) ?? caller;
      const asCaller = {
        callerName: caller.name,
        callerGroup: caller.groupName,
        callerUid: caller.uid,
        callerGid: caller.gid,
      };
      return { name, uid, gid, home, shell, ...asCaller };
    },
    verbosity: verbosity ?? "normal",
    ...(caller.stdin === undefined ? {} : { stdin: caller.stdin }),
    say: (text) => caller.say(2, text),
  };
}

/** Puts the failure of a setup script into schroot's words. */
export async function explainSetup<T>(id: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const stage = failedStage(error);
    if (stage === undefined || !(error instanceof UserError)) throw error;
    throw refusal(`${id}: Chroot setup failed: stage=${stage}`, error.message);
  }
}
