import type { RecordSummary } from "../record.ts";
import { Journal, journalIds, type Window } from "./journal.ts";

/** Everything that was committed and not left half. */
function* finished(): Generator<{ journal: Journal; isUndone: boolean }> {
  for (const id of journalIds()) {
    const journal = new Journal(id);
    if (journal.has("done")) yield { journal, isUndone: journal.has("undone") };
  }
}

/**
 * When a session's own commits changed things, those before it was forked too, and commits since it began that were undone:
 * that says nothing of others.
 */
export function ownWindows(session: RecordSummary & { readonly baseMs?: number }): Window[] {
  const { id, createdMs, forkedFrom, baseMs = createdMs } = session;
  return Array.from(finished(), ({ journal, isUndone }) => {
    const header = journal.header();
    const isBeforeFork = header.session === forkedFrom && header.createdMs < createdMs;
    const isOwn = isBeforeFork || (header.session === id && header.sessionMs === createdMs);
    const done = isOwn ? [journal.window("done")] : [];
    const undone = isUndone && (isOwn || header.createdMs >= baseMs) ? [journal.window("undone")] : [];
    return [...done, ...undone];
  }).flat();
}

/** When commits that are newer than this one were undone: what they had changed is as this one left it. */
export function undoneSince(createdMs: number): Window[] {
  return Array.from(finished(), ({ journal, isUndone }) =>
    isUndone && journal.header().createdMs >= createdMs ? [journal.window("undone")] : [],
  ).flat();
}
