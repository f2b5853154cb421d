import { UserError } from "../../error.ts";
import { endSession } from "../../session/end.ts";
import { uninterrupted } from "../../session/signals.ts";
import { command } from "../command.ts";
import { warn } from "../warn.ts";
import { sessionId } from "./operands.ts";

export const end = command({
  name: "end",
  summary: "end sessions, and delete what they changed",
  description: [
    "Every process that is left in the session is asked to end (SIGTERM), killed after 5 seconds if it hasn't, then the mounts go, and then the changes. A session in which somebody else waits for a command is refused without --force. Several sessions are ended one after another; one that can't be ended doesn't keep the others. A session that another process is just beginning or ending is waited for.",
  ],
  operands: { session: { arity: "any", completes: "session", summary: "@ID or ID" } },
  options: {
    all: { type: "boolean", short: "a", summary: "end every session that nobody holds" },
    force: {
      type: "boolean",
      short: "f",
      summary: "kill at once what runs, also a command that somebody else waits for",
    },
  },
  examples: [
    { line: "fallthru end @fix", does: "the session fix" },
    { line: "fallthru end --all", does: "whatever is left" },
  ],
  exits: { 3: "no such session", 4: "it is a run's own, or somebody else waits for a command in it" },
  json: [
    { name: "ended", type: "object[]", summary: "those that were ended, in order" },
    { name: "ended[].id", type: "string", summary: "the session's id" },
    { name: "ended[].killed", type: "number", summary: "how many processes were left in it" },
  ],
  run: async ({ session }, { all, force }, common) => {
    if (all === session.length > 0) {
      const message = all ? "end takes either sessions or --all" : "end needs a SESSION, or --all";
      throw new UserError("usage", message, { hint: "fallthru list shows the sessions" });
    }
    const errors: unknown[] = [];
    const ended: { id: string; killed: number }[] = [];
    for (const id of all ? await endableSessions() : session.map(sessionId)) {
      try {
        const { result, interrupted } = await uninterrupted(() => endSession(id, { force }));
        warn(result.warnings, common);
        ended.push({ id, killed: result.killed });
        if (interrupted !== undefined) return { data: { ended }, errors, status: interrupted };
      } catch (error) {
        errors.push(error);
      }
    }
    return { data: { ended }, errors };
  },
  text: ({ ended }, { quiet }) => (quiet ? "" : ended.map(endedLine).join("")),
});

/** Not those that are being begun or ended, or whose automatic command runs. */
async function endableSessions(): Promise<string[]> {
  const { listSessions } = await import("../../session/list.ts");
  return listSessions()
    .filter(({ state }) => state !== "held")
    .map(({ id }) => id);
}

function endedLine({ id, killed }: { id: string; killed: number }): string {
  return killed === 0 ? `ended ${id}\n` : `ended ${id}, killed ${killed} ${killed === 1 ? "process" : "processes"}\n`;
}
