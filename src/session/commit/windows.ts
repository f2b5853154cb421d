import type { RecordSummary } from "../record.ts";
import { BrokenJournal, type Header, Journal, journalIds, type Window } from "./journal.ts";

interface Finished {
  readonly header: Header;
  readonly done: Window;
  readonly undone: Window | undefined;
}

/** Everything that was committed and not left half, or was taken back at once. What a damaged one did counts as done by others: it is a conflict. */
function* finished(): Generator<Finished> {
  for (const id of journalIds()) {
    const journal = new Journal(id);
    const end = (["back", "undone"] as const).find((name) => journal.has(name));
    const start = end === "back" ? end : "done";
    if (!journal.has(start)) continue;
    try {
      const undone = end === undefined ? undefined : journal.window(end);
      yield { header: journal.header(), done: journal.window(start), undone };
    } catch (error) {
      if (!(error instanceof BrokenJournal)) throw error;
    }
  }
}

/**
 * When a session's own commits changed things, those before it was forked too, and commits since it began that were undone:
 * that says nothing of others.
 */
export function ownWindows(session: RecordSummary & { readonly baseMs?: number }): Window[] {
  const { id, createdMs, forkedFrom, baseMs = createdMs } = session;
  return Array.from(finished(), ({ header, done, undone }) => {
    const isBeforeFork = header.session === forkedFrom && header.createdMs < createdMs;
    const isOwn = isBeforeFork || (header.session === id && header.sessionMs === createdMs);
    const isBack = undone !== undefined && (isOwn || header.createdMs >= baseMs);
    return [...(isOwn ? [done] : []), ...(isBack ? [undone] : [])];
  }).flat();
}

/** When commits that are newer than this one were undone: what they had changed is as this one left it. */
export function undoneSince(createdMs: number): Window[] {
  return Array.from(finished(), ({ header, undone }) =>
    undone !== undefined && header.createdMs >= createdMs ? [undone] : [],
  ).flat();
}
