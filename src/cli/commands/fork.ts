import { UserError } from "../../error.ts";
import { forkSession } from "../../session/fork/fork.ts";
import { uninterrupted } from "../../session/signals.ts";
import { command } from "../command.ts";
import { warn } from "../warn.ts";

export const fork = command({
  name: "fork",
  summary: "begin a second session that starts where another one stands",
  description: [
    "Both go on from what @ID has changed so far, and neither sees what the other does from then on. The new session has the same chroot, binds, network, hostname, limits and ttl.",
    "Where nobody is inside @ID, nothing is copied: what it has changed becomes a read-only layer that both have, below new uppers. Where something runs in it, its changes are copied, as shared blocks where the file system has them (Btrfs, XFS), while it goes on; what changed meanwhile is copied again until the copy is whole. What is printed with --verbose or --json says which way it was, and why. docs/fork.md has the details.",
  ],
  operands: { session: { arity: "one", completes: "session", summary: "the session, with or without its @" } },
  options: {
    name: { type: "string", short: "n", placeholder: "NAME", summary: "the new session's id; without it one is made" },
    ttl: { type: "duration", summary: "how long until gc may end it; without it as @ID" },
    copy: { type: "boolean", summary: "copy, and leave the mounts of @ID as they are" },
    noCopy: { type: "boolean", summary: "fail where changes would have to be copied" },
  },
  examples: [
    { line: "fallthru fork @fix --name fix2", does: "fix2 starts where fix stands" },
    { line: "fallthru fork @fix --no-copy", does: "only if that takes no time: not while something runs in fix" },
  ],
  exits: {
    3: "no such session",
    4: "it is an automatic one, or with --no-copy: its changes would have to be copied",
    5: "there is a session of the new name",
    7: "its root can't be had twice",
    8: "a file system is full",
  },
  json: [
    { name: "id", type: "string", summary: "the new session's id" },
    { name: "forkedFrom", type: "string", summary: "the session that it starts from" },
    {
      name: "way",
      type: "string",
      summary:
        "how it has what was changed: `nothing` (nothing was), `shared` (as a layer of both), `snapshot` (by the file system), `reflinks` (copied, as shared blocks), `copied`",
    },
    { name: "reason", type: "string?", summary: "why it was copied" },
  ],
  run: async ({ session }, { name, ttl, copy, noCopy }, common) => {
    if (copy && noCopy) throw new UserError("usage", "--copy and --no-copy exclude each other");
    const id = session.startsWith("@") ? session.slice(1) : session;
    const { result, interrupted } = await uninterrupted(() =>
      forkSession(id, {
        ...(name === undefined ? {} : { name }),
        ...(ttl === undefined ? {} : { ttlSeconds: ttl }),
        ...(copy ? { data: "copy" } : noCopy ? { data: "share" } : {}),
      }),
    );
    const { warnings, ...data } = result;
    warn(warnings, common);
    // Nobody would know of a session whose id couldn't be told.
    const undo = async () => (await import("../../session/end.ts")).endSession(data.id, { force: true });
    if (interrupted === undefined) return { data, undo };
    await undo();
    return { status: interrupted };
  },
  text: ({ id, way, reason }, { verbose }) => {
    const why = reason === undefined ? "" : `, because ${reason}`;
    return verbose ? `${id}\nits changes: ${way}${why}\n` : `${id}\n`;
  },
});
