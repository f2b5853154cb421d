/**
 * Undoes what came before an error. That error is the one to tell: what can't be undone is a leftover, which the
 * next command tries to clear away again, and tells of.
 */
export async function undo(steps: () => void | Promise<void>): Promise<void> {
  try {
    await steps();
  } catch {
    // see above
  }
}
