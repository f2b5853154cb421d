import { UserError } from "../../../error.ts";
import { command } from "../../command.ts";
import { warn } from "../../warn.ts";
import { change, changesJson, changesText, subjectOf, subjectOptions } from "./subject.ts";

export const enable = command({
  name: "login enable",
  summary: "make somebody's logins sessions of a chroot",
  description: [
    "Shows what it would write, asks, and writes it: the name into the chroot's description (login.users or login.groups), and our shell into /etc/passwd, or a file of its own into /etc/ssh/sshd_config.d that sshd has checked; with --pam a line into /etc/pam.d/SERVICE, with --display-manager a file into its configuration. All of it or nothing.",
    "It refuses to lock the last administrator out: root, and the last member of sudo, admin and wheel.",
  ],
  operands: {},
  options: {
    ...subjectOptions,
    chroot: { type: "string", placeholder: "NAME", completes: "chroot", summary: "the chroot whose sessions they are" },
    via: {
      type: "string",
      completes: ["shell", "force-command"],
      default: "shell",
      summary: "all logins, by the shell in /etc/passwd; or those by sshd only",
    },
    pam: {
      type: "strings",
      placeholder: "SERVICE",
      summary: "have PAM count the logins by this service, too: sshd, su-l",
    },
    displayManager: {
      type: "string",
      completes: ["lightdm", "sddm"],
      summary: "have it run desktops in the sessions of their people, too",
    },
  },
  examples: [
    { line: "fallthru login enable --user alice --chroot lab", does: "alice's logins, by her shell" },
    { line: "fallthru login enable --group students --chroot lab --via force-command", does: "theirs by ssh" },
    {
      line: "fallthru login enable --user alice --chroot lab --pam sshd",
      does: "one session for all commands of a connection",
    },
  ],
  exits: { 3: "no such user, group or chroot", 4: "it would lock the last administrator out" },
  json: changesJson,
  run: async (_, { user, group, chroot, via, pam, displayManager, dryRun, yes }, common) => {
    const subject = subjectOf({ user, group });
    if (chroot === undefined) throw new UserError("usage", "sessions of which chroot?", { hint: "give --chroot NAME" });
    const [{ planEnable }, { lowLimits }] = await Promise.all([
      import("../../../frontend/login/setup/plan.ts"),
      import("../../../frontend/login/setup/limits.ts"),
    ]);
    const edits = planEnable(subject, chroot, { via, pam, displayManager });
    warn(lowLimits(), common);
    return { data: await change(edits, { dryRun, yes, json: common.json }) };
  },
  text: changesText,
});
