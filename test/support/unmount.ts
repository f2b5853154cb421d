import { run } from "./fallthru.ts";

/** Unmounts what a server may hold for a moment longer than its own mount. */
export async function unmountWhenFree(path: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    const { status, stderr } = await run(["umount", path]);
    if (status === 0) return;
    if (tries === 50 || !stderr.includes("busy")) throw new Error(stderr);
    await new Promise((done) => setTimeout(done, 100));
  }
}
