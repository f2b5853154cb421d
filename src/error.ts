/** What went wrong, as one word that a program can test for; the exit status follows from it (cli/exit.ts). */
export type ErrorCode =
  | "usage" //          the command line or an argument is wrong
  | "not-found" //      no such chroot, session, user, directory
  | "exists" //         the name is taken
  | "config" //         a configuration file is wrong
  | "busy" //           somebody else holds it
  | "unsupported" //    this machine can't, or this version doesn't
  | "conflict" //       somebody else has changed what was to be changed
  | "no-space" //       a file system is full
  | "data" //           an archive or a record is malformed
  | "newer" //          written by a newer version of Fallthru
  | "failed"; //        anything else that was tried and didn't work

/**
 * An error for a person: one line that says what and where, and a hint that names the way out.
 * Messages start with the verb or the thing, have no "failed to" and no final full stop.
 */
export class UserError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { hint?: string | undefined; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "UserError";
    this.code = code;
    this.hint = options.hint;
  }
}
