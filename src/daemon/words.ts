/**
 * What a worker says of itself: it can serve another client of the same user, or anybody's (nothing was done for the last one), or
 * it ends, and has left nothing undone; and, before any of these, that its first client has an account.
 */
export const workerWords = { ready: 1, done: 2, unused: 3, known: 4 } as const;

/** What comes with a connection: it is to be served, or only to be closed. */
export const connectionTags = { serve: 0, drop: 1 } as const;
