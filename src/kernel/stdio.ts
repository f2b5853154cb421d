import {
  F_DUPFD_CLOEXEC,
  POSIX_SPAWN_SETPGROUP,
  POSIX_SPAWN_SETSID,
  POSIX_SPAWN_SETSIGDEF,
  POSIX_SPAWN_SETSIGMASK,
} from "./abi/process.ts";
import { check } from "./error.ts";
import { Fd } from "./fd.ts";
import { quick, withoutErrno } from "./libc.ts";
import type { Limits } from "./limits.ts";
import { ignoreMeanwhile } from "./self.ts";

const attrInit_ = withoutErrno("posix_spawnattr_init", "int", ["void *"]);
const attrFlags_ = withoutErrno("posix_spawnattr_setflags", "int", ["void *", "short"]);
const attrDefault_ = withoutErrno("posix_spawnattr_setsigdefault", "int", ["void *", "void *"]);
const attrMask_ = withoutErrno("posix_spawnattr_setsigmask", "int", ["void *", "void *"]);
const actionsInit_ = withoutErrno("posix_spawn_file_actions_init", "int", ["void *"]);
export const actionsDestroy_ = withoutErrno("posix_spawn_file_actions_destroy", "int", ["void *"]);
const actionsDup_ = withoutErrno("posix_spawn_file_actions_adddup2", "int", ["void *", "int", "int"]);
const actionsForeground_ = withoutErrno("posix_spawn_file_actions_addtcsetpgrp_np", "int", ["void *", "int"]);
const dup3_ = quick("dup3", "int", ["int", "int", "int"]);
const fcntl_ = quick("fcntl", "int", ["int", "int", "int"]);

/** What a child has that is somebody else's: without it, it has what we have. */
export interface Attachment {
  /** Its descriptors 0, 1 and 2. */
  readonly descriptors: readonly [Fd, Fd, Fd];
  /** Leads a session of its own, without a terminal; or a process group in the foreground of our own terminal. */
  readonly leads: "session" | "foreground";
  readonly umask: number;
  /** How many files it may have open, unless it asks for more. */
  readonly fileLimit: number;
  /** Its other limits, where they aren't ours. */
  readonly limits?: Limits | undefined;
  /** Signals that it ignores; all others are at their default. */
  readonly ignored?: readonly number[];
}

/** posix_spawn(3)'s two structures; every signal is at its default but those that are ignored, and none is blocked. */
export interface SpawnSetup extends Disposable {
  readonly attributes: Uint8Array;
  readonly actions: Uint8Array | null;
}

export function prepareSpawn(attachment: Attachment | undefined): SpawnSetup {
  const ignored = attachment?.ignored ?? [];
  const attributes = makeAttributes(leadingFlag(attachment), ignored);
  if (attachment === undefined) return { attributes, actions: null, [Symbol.dispose]: () => {} };
  // Above all that they are to become, so that none is overwritten before it is copied.
  const copies = copyAbove(attachment.descriptors, 3);
  // A child that isn't to have the default has ours.
  const heeding = ignoreMeanwhile(ignored);
  const actions = makeActions(copies);
  const release = (): void => {
    heeding[Symbol.dispose]();
    actionsDestroy_(actions);
    for (const copy of copies) copy.close();
  };
  if (attachment.leads === "foreground") actionsForeground_(actions, 0);
  return { attributes, actions, [Symbol.dispose]: release };
}

/** posix_spawnattr_t (336 bytes in glibc): no signal is blocked, and each is at its default but these, which are as ours. */
export function makeAttributes(flags: number, kept: readonly number[]): Uint8Array {
  const attributes = new Uint8Array(512);
  attrInit_(attributes);
  attrFlags_(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | flags);
  attrDefault_(attributes, allSignalsBut(kept));
  attrMask_(attributes, new Uint8Array(128));
  return attributes;
}

/** posix_spawn_file_actions_t (80 bytes in glibc): the child's descriptors from 0 on are these. For actionsDestroy_() in the end. */
export function makeActions(files: readonly Fd[]): Uint8Array {
  const actions = new Uint8Array(256);
  actionsInit_(actions);
  for (const [number, file] of files.entries()) actionsDup_(actions, file.number, number);
  return actions;
}

/** sigset_t: the first signal's bit is the lowest. */
function allSignalsBut(signals: readonly number[]): Uint8Array {
  const set = new Uint8Array(128).fill(0xff);
  for (const signal of signals) set[(signal - 1) >> 3] = (set[(signal - 1) >> 3] ?? 0) & ~(1 << ((signal - 1) & 7));
  return set;
}

/**
 * More descriptors of the same open files, all of them or none, with numbers of at least `least`.
 * @throws {KernelError} EMFILE
 * @see fcntl(2), F_DUPFD_CLOEXEC
 */
export function copyAbove(files: readonly Fd[], least: number): Fd[] {
  using undo = new DisposableStack();
  const copies = files.map((fd) =>
    undo.use(new Fd(check("duplicate", fd, fcntl_(fd.number, F_DUPFD_CLOEXEC, least)), fd.path)),
  );
  undo.move();
  return copies;
}

/** Makes an open file this process's standard error. @see dup3(2) */
export function takeStandardError(file: Fd): void {
  check("duplicate", file, dup3_(file.number, 2, 0));
}

function leadingFlag(attachment: Attachment | undefined): number {
  switch (attachment?.leads) {
    case undefined:
      return 0;
    case "session":
      return POSIX_SPAWN_SETSID;
    case "foreground":
      return POSIX_SPAWN_SETPGROUP;
  }
}
