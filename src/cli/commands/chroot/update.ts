import { runOnce } from "../../../session/once.ts";
import { planSession } from "../../../session/plan.ts";
import { exitNow } from "../../../session/run.ts";
import { command } from "../../command.ts";
import { warn } from "../../warn.ts";

export const update = command({
  name: "chroot update",
  summary: "change a chroot by a command, which must succeed",
  description: [
    "Runs COMMAND in a copy of the chroot, as the superuser. If it ends with status 0 the copy takes the chroot's place, at once; otherwise, and whatever stops it, the chroot is as it was. Nothing of this machine is written into it: its resolv.conf and the like are only shown.",
    "Open sessions keep what they were begun on: of a directory or an image the old one stays beside the new one, under another name, until the last session over it has ended. Those that change the chroot itself (source:NAME, type plain) must have ended.",
  ],
  operands: {
    name: { arity: "one", completes: "chroot", summary: "the chroot" },
    command: { arity: "command", summary: "what to run, with its arguments, verbatim; without it a shell" },
  },
  options: { dryRun: { type: "boolean", summary: "print what would be made and mounted, and do nothing" } },
  examples: [
    { line: "fallthru chroot update bookworm -- apt-get -y upgrade", does: "new packages for all later sessions" },
  ],
  exits: {
    125: "Fallthru itself failed: no such chroot, there are sessions that change it themselves, a file system is full",
    126: "the command was found but couldn't be executed",
    127: "the command wasn't found",
    "128+N": "the command was ended by signal N; the chroot is as it was",
    N: "anything else is the command's own status: unless it is 0 the chroot is as it was",
  },
  failureStatus: 125,
  json: [
    {
      name: "plan",
      type: "string[]",
      summary: "with --dry-run: what would be done, in order; without it stdout is the command's alone",
    },
  ],
  run: async ({ name, command: words }, { dryRun }, common) => {
    const session = { source: true, update: true };
    if (dryRun) return { data: { plan: (await planSession(name, session)).map(({ describe }) => describe) } };
    const options = { command: words, directory: "/", user: "root" };
    return exitNow(await runOnce(name, session, options, { onBegun: ({ warnings }) => warn(warnings, common) }));
  },
  text: ({ plan }) => plan.map((line) => `${line}\n`).join(""),
});
