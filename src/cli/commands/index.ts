import type { Command } from "../command.ts";
import { run } from "./run.ts";

/** A verb before its file is loaded: only the one that was asked for is. */
export interface Verb {
  /** As typed, one or two words. */
  readonly name: string;
  /** For our own scripts: not in the help, the completion or the manual. */
  readonly isHidden?: boolean;
  /** It is also the first word of others: `login`, `login enable`. */
  readonly isFirstWord?: boolean;
  /** It works long enough for code that is compiled early to pay. */
  readonly isLong?: boolean;
  readonly load: () => Promise<Command>;
}

/** Every verb, in the order of the help. A new one is a file and a line here. */
export const verbs: readonly Verb[] = [
  // Called far more often than all others, and what it loads most of them need: another import() would cost it 0.4 ms.
  { name: "run", load: async () => run },
  { name: "begin", load: async () => (await import("./begin.ts")).begin },
  { name: "end", load: async () => (await import("./end.ts")).end },
  { name: "fork", load: async () => (await import("./fork.ts")).fork },
  { name: "list", isLong: true, load: async () => (await import("./list.ts")).list },
  { name: "info", load: async () => (await import("./info.ts")).info },
  { name: "diff", isLong: true, load: async () => (await import("./diff.ts")).diff },
  { name: "discard", isLong: true, load: async () => (await import("./discard.ts")).discard },
  { name: "commit", isLong: true, load: async () => (await import("./commit.ts")).commit },
  { name: "undo", isLong: true, load: async () => (await import("./undo.ts")).undo },
  { name: "log", load: async () => (await import("./log.ts")).log },
  { name: "recover", load: async () => (await import("./recover.ts")).recover },
  { name: "gc", load: async () => (await import("./gc.ts")).gc },
  { name: "chroot create", isLong: true, load: async () => (await import("./chroot/create.ts")).create },
  { name: "chroot import", isLong: true, load: async () => (await import("./chroot/import.ts")).importFile },
  { name: "chroot add", load: async () => (await import("./chroot/add.ts")).add },
  { name: "chroot remove", load: async () => (await import("./chroot/remove.ts")).remove },
  { name: "chroot update", isLong: true, load: async () => (await import("./chroot/update.ts")).update },
  { name: "chroot list", load: async () => (await import("./chroot/list.ts")).list },
  { name: "login enable", load: async () => (await import("./login/enable.ts")).enable },
  { name: "login disable", load: async () => (await import("./login/disable.ts")).disable },
  { name: "login status", load: async () => (await import("./login/status.ts")).status },
  { name: "login", isFirstWord: true, load: async () => (await import("./login/login.ts")).login },
  { name: "mount", isLong: true, load: async () => (await import("./mount.ts")).mount },
  { name: "layer list", load: async () => (await import("./layer/list.ts")).list },
  { name: "layer add", isLong: true, load: async () => (await import("./layer/add.ts")).add },
  { name: "layer remove", load: async () => (await import("./layer/remove.ts")).remove },
  { name: "layer show", load: async () => (await import("./layer/show.ts")).show },
  { name: "doctor", load: async () => (await import("./doctor.ts")).doctor },
  { name: "completion", load: async () => (await import("./completion.ts")).completion },
  { name: "version", load: async () => (await import("./version.ts")).version },
  {
    name: "mount.fallthru",
    isHidden: true,
    isLong: true,
    load: async () => (await import("./mount-helper.ts")).mountHelper,
  },
  {
    name: "fallthru",
    isHidden: true,
    isLong: true,
    load: async () => (await import("./mount-helper.ts")).mountByFuse,
  },
  {
    name: "probe-worker",
    isHidden: true,
    load: async () => (await import("./probe-worker.ts")).probeWorker,
  },
  { name: "serve", isHidden: true, isLong: true, load: async () => (await import("./serve.ts")).serve },
  { name: "daemon", isHidden: true, isLong: true, load: async () => (await import("./daemon.ts")).daemon },
  {
    name: "daemon-worker",
    isHidden: true,
    isLong: true,
    load: async () => (await import("./daemon-worker.ts")).daemonWorker,
  },
  { name: "login-keep", isHidden: true, load: async () => (await import("./login/keep.ts")).keep },
  { name: "login-save", isHidden: true, load: async () => (await import("./login/save.ts")).save },
  { name: "login-pam", isHidden: true, load: async () => (await import("./login/pam.ts")).pam },
  { name: "login-count", isHidden: true, load: async () => (await import("./login/pam.ts")).count },
  { name: "session-watch", isHidden: true, load: async () => (await import("./session-watch.ts")).sessionWatch },
  { name: "bounded", isHidden: true, load: async () => (await import("./bounded.ts")).bounded },
  { name: "init", isHidden: true, load: async () => (await import("./init.ts")).init },
  { name: "__complete", isHidden: true, load: async () => (await import("./complete.ts")).complete },
];

/** The verbs that people use, with all that they declare. */
export function loadShown(table: readonly Verb[] = verbs): Promise<Command[]> {
  return Promise.all(table.filter(({ isHidden }) => isHidden !== true).map(({ load }) => load()));
}
