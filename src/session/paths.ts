import { places } from "../places.ts";

/** Where sessions live. The layout is ARCHITECTURE.md's, and every path here is writable by the superuser, or its user, only. */

/** What outlives a restart of the machine. */
export const stateDir = places.state;
/** One directory per session: its record, and its layers unless `--upper` put them elsewhere. */
export const sessionsDir = `${stateDir}/sessions`;
/** One empty file per session that a process is beginning, ending or running automatically; it holds a lock on it. */
export const heldDir = `${sessionsDir}/.held`;
/** The journals of commits: in a view of the host the sessions, and with them these, are covered. */
export const commitsDir = `${sessionsDir}/.commits`;
/** What is held below heldDir by who commits or undoes; no session has this name. */
export const commitMark = ".commit";
/** What forks have frozen, shared by sessions; see frozen.ts. */
export const frozenDir = `${sessionsDir}/.frozen`;
/** Roots that an update has put others in the place of, and that sessions still lie over; see replaced.ts. */
export const replacedDir = `${sessionsDir}/.replaced`;
/** A private tmpfs of ours: mounts below it spread to no other name space, and it is empty after a restart. */
export const runDir = places.run;

export function sessionDir(id: string): string {
  return `${sessionsDir}/${id}`;
}

/** One directory per session: the place of its mount point. */
export const mountsDir = `${runDir}/mount`;

/** The directory around a session's mount point, which says who may go there. */
export function mountPlaceOf(id: string): string {
  return `${mountsDir}/${id}`;
}

/** Setup scripts know it as $MOUNT_DIR/$SESSION_ID. */
export function mountPointOf(id: string): string {
  return `${mountPlaceOf(id)}/${id}`;
}

/** Where a session's upper in memory is mounted. */
export function memoryUpperOf(id: string): string {
  return `${runDir}/upper/${id}`;
}

/** In a session's directory: there are files of a person's in it that nobody has decided about; see home/unsaved.ts. */
export const unsavedFile = "unsaved.json";

/** In a session's directory: that scripts were run for it, and with what. */
export const setupFile = "setup.json";

/** Where schroot keeps a file for each session, which other programs read too. */
export const schrootSessions = "/var/lib/schroot/session";

export function schrootFileOf(id: string): string {
  return `${schrootSessions}/${id}`;
}

/** What it is written to first: no session's name begins with a dot, and schroot passes such files over. */
export function schrootTemporaryOf(id: string): string {
  return `${schrootSessions}/.${id}.new`;
}

export function heldFileOf(id: string): string {
  return `${heldDir}/${id}`;
}
