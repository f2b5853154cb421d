import type { ErrorCode } from "../error.ts";

/** The exit status of each kind of failure, for every verb but `run`. */
export const statusOf: Readonly<Record<ErrorCode, number>> = {
  failed: 1,
  usage: 2,
  "not-found": 3,
  busy: 4,
  exists: 5,
  config: 6,
  unsupported: 7,
  "no-space": 8,
  data: 9,
  newer: 10,
  conflict: 11,
};

/** What the statuses mean, for the help; a verb declares those that mean something special to it. */
export const statusTexts: Readonly<Record<number, string>> = {
  0: "done",
  1: "it was tried and didn't work, or the system refused",
  2: "the command line or an argument is wrong",
  3: "no such chroot, session, user or directory",
  4: "somebody else holds it",
  5: "the name is taken",
  6: "a configuration file is wrong",
  7: "this machine can't do that",
  8: "a file system is full",
  9: "an archive or a record is malformed",
  10: "it was written by a newer version of Fallthru",
  11: "what was to be changed has been changed by somebody else",
};

/** As a shell says it of a program that SIGPIPE ended: whoever read our output went away. */
export const outputClosed = 141;
