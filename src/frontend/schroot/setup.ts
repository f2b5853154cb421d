import { UserError } from "../../error.ts";
import { failedStage } from "../../session/setupfailed.ts";
import type { SetupContext } from "../../session/types.ts";
import type { Caller } from "./caller.ts";
import type { Keys } from "./keys.ts";
import { refusal } from "./messages.ts";

/** What setup scripts are told of the caller, who sees what they say. */
export function setupContext(keys: Keys, selectedName: string, caller: Caller): SetupContext {
  const { name, uid, gid, home, shell, groupName: callerGroup } = caller;
  return {
    keys,
    selectedName,
    user: { name, uid, gid, home, shell, callerName: name, callerGroup, callerUid: uid, callerGid: gid },
    verbosity:
      keys["message-verbosity"] === "verbose" ? "verbose" : keys["message-verbosity"] === "quiet" ? "quiet" : "normal",
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
