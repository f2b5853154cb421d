import { fallthru } from "../support/fallthru.ts";
import { expectFate } from "./session.ts";
import { inject, type Point, pointsOf } from "./strace.ts";

/** Kills `args` at each of its points; `prepare` makes what it works on, `check` looks at what is left. */
export async function killEverywhere(
  args: readonly string[],
  prepare: () => Promise<void>,
  check: (point: Point) => Promise<"whole" | "gone">,
): Promise<{ points: number; whole: number; gone: number }> {
  const once = async <T>(run: () => Promise<T>): Promise<T> => {
    await prepare();
    const result = await run();
    await fallthru(["end", "x"]);
    return result;
  };
  // The first time it keeps what it found, which it has the next time.
  await once(() => fallthru(args));
  const points = await once(() => pointsOf(args));
  const fates = { whole: 0, gone: 0 };
  for (const point of points) {
    await prepare();
    const { isReached } = await inject(point, "signal=KILL", args);
    if (isReached) fates[await expectFate(point, () => check(point))]++;
    else await fallthru(["end", "x"]);
  }
  return { points: points.length, ...fates };
}
