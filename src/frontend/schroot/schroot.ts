import type { Caller } from "./caller.ts";
import { tell, tellError } from "./messages.ts";
import { readRequest, type Request } from "./request.ts";
import { actOnSessions } from "./sessions.ts";

/**
 * The whole of schroot(1) for one caller.
 * @returns exit status: the command's own, 1 for everything else
 */
export async function schroot(argv: readonly string[], caller: Caller): Promise<number> {
  try {
    const request = readRequest(argv);
    for (const { level, text } of request.warnings) tell(caller, level, text);
    return await act(request, caller);
  } catch (error) {
    tellError(caller, error);
    return 1;
  }
}

/** What a run in a session doesn't need is only loaded where it is asked for. */
async function act(request: Request, caller: Caller): Promise<number> {
  switch (request.action) {
    case "help":
    case "version": {
      const { helpText, versionText } = await import("./help.ts");
      caller.say(1, request.action === "help" ? helpText() : versionText());
      return 0;
    }
    case "list":
    case "info":
    case "config":
    case "location":
      return (await import("./show.ts")).show(request, caller);
    default:
      return actOnSessions(request, caller);
  }
}
