import type { Fd } from "../kernel/fd.ts";

/** Where a session's changes are kept. */
export type Upper =
  | { readonly kind: "state" } //                               below /var/lib/fallthru, the default
  | { readonly kind: "directory"; readonly path: string } //    below a directory of the user's
  | { readonly kind: "tmpfs"; readonly sizeBytes?: number }; // in memory; gone with the machine

/** A path of the host's that a session shows: changes made there are real. */
export interface Bind {
  readonly from: string;
  readonly to: string;
  readonly readOnly: boolean;
}

export type Network = "host" | "none";

/** A mount that a front end wants in a session, above what the chroot's profile has; what isn't there is left out. */
export type ExtraMount =
  | {
      readonly kind: "share"; // the host's own, with what is mounted below it later
      readonly from: string;
      readonly at: string;
      readonly readOnly: boolean;
    }
  | { readonly kind: "copy"; readonly at: string } // what the host has there; changes are the session's
  | {
      readonly kind: "empty"; // in memory, and its owner's alone
      readonly at: string;
      readonly uid: number;
      readonly gid: number;
      readonly sizeBytes: number | undefined;
    };

/** What a front end wants written into a session's root, after what the profile copies. */
export interface ExtraFiles {
  /** Put in where the root has nobody of this name, or somebody else. */
  readonly account?: {
    readonly name: string;
    readonly uid: number;
    readonly gid: number;
    readonly home: string;
    /** The first that is there; without any the root's own choice. See realShell(). */
    readonly shells: readonly string[];
    /** Each gets an entry in group(5) where its number has none there. */
    readonly groups: readonly { readonly name: string; readonly gid: number }[];
  };
  readonly written: readonly { readonly path: string; readonly text: string; readonly mode: number }[];
  readonly links: readonly { readonly path: string; readonly target: string }[];
}

/**
 * Whose unions a session stands on; "auto": overlayfs where it can be, ours where it must; "none": it changes the
 * chroot's root itself, where that isn't the session's own anyway (a snapshot, an unpacked archive).
 */
export type UnionChoice = "overlay" | "fallthru" | "auto" | "none";

export interface Limits {
  readonly memoryBytes?: number;
  /** May be fractional: 1.5 is one core and a half. */
  readonly cpus?: number;
  readonly pids?: number;
}

/** In a session's description stands for the name of its snapshot, which is known when that is made. */
export const madeName = "{made}";

/** Who begins or ends a session: who they are in it, and who calls. Setup scripts are told (AUTH_USER, AUTH_RUSER, …). */
export interface SetupUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
  readonly callerName: string;
  readonly callerGroup: string;
  readonly callerUid: number;
  readonly callerGid: number;
}

/** What an administrator's setup scripts get of a front end's caller. Without any of it: of this process. */
export interface SetupContext {
  readonly user?: SetupUser;
  /** The name or alias by which the chroot was asked for. */
  readonly selectedName?: string;
  /** The chroot's keys, where they aren't quite those of its description. */
  readonly keys?: Readonly<Record<string, string>>;
  readonly verbosity?: "quiet" | "normal" | "verbose";
  /** The scripts' standard input. */
  readonly stdin?: Fd;
  /** Takes their output, whole lines with the newline, as schroot prints them on standard error. */
  readonly say?: (text: string) => void;
}

/** What `begin` and an automatic `run` may be asked for. */
export interface SessionOptions {
  /** The session's id; without it one is made from the chroot's name. */
  readonly name?: string;
  readonly upper?: Upper;
  /** Without it what the chroot's `union-type` says, if that names ours; else overlayfs, or none where nothing is shared. */
  readonly union?: UnionChoice;
  /** The chroot itself is to be changed, for good: no union, no snapshot, and none of the profile's files in it. */
  readonly source?: boolean;
  /** With `source`: it is changed in a copy, which takes its place when the command has succeeded. */
  readonly update?: boolean;
  /** Directories to lay over the root, the topmost first, below the upper. */
  readonly lowers?: readonly string[];
  readonly binds?: readonly Bind[];
  readonly mounts?: readonly ExtraMount[];
  readonly files?: ExtraFiles;
  /** Nothing in it gives more rights than its caller has: no set-user-ID, no file capabilities. */
  readonly noSuid?: boolean;
  /** The chroot is this machine's own root: a view of it, with all that is mounted below. */
  readonly isHost?: boolean;
  /** Directories of a view of the machine in which nothing that is mounted is shown. */
  readonly without?: readonly string[];
  readonly network?: Network;
  readonly hostname?: string;
  readonly limits?: Limits;
  /** After this many seconds `gc` may end it. */
  readonly ttlSeconds?: number;
  /** A user who may look at it from outside, at its mount point. */
  readonly visitor?: number;
  /** Its description in schroot's format, for programs that read /var/lib/schroot/session; see madeName. */
  readonly schrootFile?: string;
  readonly setup?: SetupContext;
}

/** What to run in a session, and as whom. */
export interface CommandOptions {
  /** The command and its arguments; empty: the user's shell. */
  readonly command: readonly string[];
  /** NAME or UID, with :GROUP or :GID behind it; resolved in the session's own passwd and group. */
  readonly user?: string;
  /** Inside; without it the caller's own where it exists, else the user's home, else `/`. */
  readonly directory?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Without it: kept on the host's root, clean in a chroot. */
  readonly preserveEnvironment?: boolean;
  readonly pidNamespace?: boolean;
}

/** What a session is doing, as `list` and `info` say it. */
export type SessionState =
  | "open" //      mounted, to be run in
  | "unmounted" // its record and changes are there, its mounts aren't: the machine was restarted; `recover`
  | "held" //      a process is beginning or ending it, or it is automatic and its command runs
  | "leftover" //  its holder was killed; the next command clears it away
  | "unreadable"; // its record is damaged or a newer Fallthru's: `info` says which

export interface SessionSummary {
  readonly id: string;
  /** The chroot's name; `host` for the host's own root. */
  readonly chroot: string;
  readonly state: SessionState;
  /** Milliseconds since 1970. */
  readonly createdMs: number;
  readonly expiresMs?: number;
  /** The session that it was forked from. */
  readonly forkedFrom?: string;
  /** When an update put another root in the place of the one that it lies over, which it keeps. Milliseconds since 1970. */
  readonly rootReplacedMs?: number;
  readonly mountPoint: string;
}
