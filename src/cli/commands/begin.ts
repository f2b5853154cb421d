import { beginSession } from "../../session/begin.ts";
import { uninterrupted } from "../../session/signals.ts";
import { UserError } from "../../error.ts";
import { command } from "../command.ts";
import { parseSource } from "./operands.ts";
import { infoJson } from "./session-json.ts";
import { sessionOptionSpecs } from "./session-options.ts";
import { sessionOptions } from "./session-values.ts";
import { warn } from "../warn.ts";

export const begin = command({
  name: "begin",
  summary: "begin a session that lasts until it is ended",
  description: [
    "A session is a private, copy-on-write view of a chroot, or of this machine's own root. Any number of commands can run in it, also at once: fallthru run @ID. An idle session needs no process and no memory; it survives a restart of the machine (fallthru recover).",
  ],
  operands: {
    chroot: {
      arity: "optional",
      completes: "chroot",
      summary: "the chroot; without it this machine's own root (host); source:CHROOT changes the chroot itself",
    },
  },
  options: sessionOptionSpecs,
  examples: [
    { line: "fallthru begin bookworm --name fix", does: "the session @fix on the chroot bookworm" },
    {
      line: "fallthru begin --ttl 12h --upper tmpfs:2G",
      does: "on this machine's own root, changes kept in memory; gc ends it after 12 hours",
    },
  ],
  exits: {
    3: "no such chroot",
    5: "there is a session of this name",
    6: "the chroot is described wrongly",
    7: "changes can't be kept there",
    8: "a file system is full",
  },
  json: infoJson,
  run: async ({ chroot }, options, common) => {
    const source = parseSource(chroot);
    if (source.kind === "session") {
      throw new UserError("usage", `@${source.id} is a session, not a chroot`, { hint: `fallthru run @${source.id}` });
    }
    const { result, interrupted } = await uninterrupted(() =>
      beginSession(source.name, { ...sessionOptions(options), ...source.session }),
    );
    const { record, warnings } = result;
    warn(warnings, common);
    // Nobody would know of a session whose id couldn't be told.
    const undo = async () => (await import("../../session/end.ts")).endSession(record.id, { force: true });
    if (interrupted !== undefined) {
      await undo();
      return { status: interrupted };
    }
    if (!common.json) return { data: { id: record.id }, undo };
    const { sessionInfo } = await import("../../session/list.ts");
    return { data: sessionInfo(record.id), undo };
  },
  text: ({ id }) => `${id}\n`,
});
