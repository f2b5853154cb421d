import { findHostUser, groupNameOf } from "../../session/accounts.ts";
import { ownEnvironment, runCommand, verbatimValue, writeText } from "../../session/command.ts";
import { callerDirectory } from "../../session/environment.ts";
import type { SignalRelay } from "../../session/signals.ts";
import type { Caller } from "./caller.ts";
import { refusal } from "./messages.ts";

/** This process's own caller. What is only needed now and then is looked up when it is. */
export function processCaller(signals: SignalRelay): Caller {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  let account: ReturnType<typeof findHostUser>;
  const own = () =>
    (account ??= findHostUser(uid) ?? { name: String(uid), uid, gid, groups: [], home: "/", shell: "" });
  return {
    pid: process.pid,
    uid,
    gid,
    get groups() {
      return process.getgroups?.() ?? [];
    },
    get name() {
      return own().name;
    },
    get groupName() {
      return groupNameOf(gid);
    },
    get home() {
      return own().home;
    },
    get shell() {
      return own().shell;
    },
    get environment() {
      return ownEnvironment();
    },
    get directory() {
      return callerDirectory();
    },
    verbatim: (value) => verbatimValue(value),
    say: writeText,
    run: (where, program, onStarted) => runCommand(where, program, signals, onStarted),
    authenticate: async (user) => {
      if (uid !== 0) throw refusal(`Only the superuser can become ${user} without the service`);
    },
    interrupted: () => signals.early(),
  };
}
