/** What a worker says of itself: it can serve another client, or it ends, and has left nothing undone. */
export const workerWords = { ready: 1, done: 2 } as const;
