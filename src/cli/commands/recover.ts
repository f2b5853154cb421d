import { recoverSessions } from "../../session/recover.ts";
import { command } from "../command.ts";
import { warn } from "../warn.ts";

export const recover = command({
  name: "recover",
  summary: "mount sessions again after a restart, clear leftovers away",
  description: [
    "Mounts every session again that has a record and no mounts, and removes whatever belongs to no session. It is meant to be run at the machine's start, and does no harm at any other time.",
  ],
  operands: {},
  options: {},
  examples: [{ line: "fallthru recover", does: "what had to be done, one line each" }],
  exits: { 1: "a session could not be brought back: it is named" },
  json: [
    { name: "recovered", type: "string[]", summary: "the sessions that were mounted again" },
    { name: "removed", type: "string[]", summary: "the sessions whose remains were cleared away" },
    { name: "cleared", type: "string[]", summary: "the chroots of which a half-made root was deleted" },
    { name: "lost", type: "object[]", summary: "the sessions that could not be brought back" },
    { name: "lost[].id", type: "string", summary: "the session's id" },
    { name: "lost[].reason", type: "string", summary: "why" },
  ],
  run: async (_, __, common) => {
    const sessions = await recoverSessions();
    const { clearPartials } = await import("../../image/place.ts");
    const cleared = await clearPartials({ onWarning: (text) => warn([text], common) });
    return { data: { ...sessions, cleared }, status: sessions.lost.length > 0 ? 1 : 0 };
  },
  text: ({ recovered, removed, cleared, lost }, { quiet }) => {
    const done = [
      ...recovered.map((id) => `recovered ${id}\n`),
      ...removed.map((id) => `removed ${id}\n`),
      ...cleared.map((name) => `cleared away what was made of chroot ${name}\n`),
    ];
    return [...(quiet ? [] : done), ...lost.map(({ id, reason }) => `lost ${id}: ${reason}\n`)].join("");
  },
});
