// deadline: 120
// Eight loops begin, use and end sessions while others list, enter, recover and collect: nobody meets an error.
import { beforeAll, expect, test } from "bun:test";
import { fallthru, type RunResult } from "../support/fallthru.ts";
import { leftoversAfter, type Traces } from "../support/leftovers.ts";
import { describeMarked, settle } from "./session.ts";

const seconds = 20;
/** So often at least, however long that takes. */
const least = 20;
let before: Traces;

beforeAll(async () => {
  before = await settle(describeMarked);
});

test(`${seconds} seconds of begin, run, end, list, recover and gc`, async () => {
  const errors = new Set<string>();
  const counts = new Map<string, number>();
  const end = performance.now() + seconds * 1000;
  const isOver = (): boolean =>
    performance.now() > end && ["begin tiny", "list"].every((name) => (counts.get(name) ?? 0) > least);

  /** What isn't expected is an error. */
  const call = async (args: readonly string[], isFine: (result: RunResult) => boolean): Promise<void> => {
    const result = await fallthru(args);
    const name = args.slice(0, 2).join(" ").replace(/\d+/, "");
    counts.set(name, (counts.get(name) ?? 0) + 1);
    if (!isFine(result)) errors.add(JSON.stringify({ args: args.join(" "), ...result }));
  };
  const loop = async (body: () => Promise<void>): Promise<void> => {
    while (!isOver() && errors.size < 10) await body();
  };

  const isQuiet = ({ status, stderr }: RunResult): boolean => status === 0 && stderr === "";
  const cycle = (n: number): Promise<void> =>
    loop(async () => {
      const limits = n % 4 === 0 ? ["--memory", "50M"] : [];
      await call(["begin", "tiny", "--name", `c${n}`, ...limits], isQuiet);
      await call(["run", `@c${n}`, "--", "touch", "/new"], isQuiet);
      await call(["end", `c${n}`], isQuiet);
    });
  // It may be gone, or be ended while the command runs there: asked to end, or killed.
  const isEntered = ({ status, signal, stderr }: RunResult): boolean =>
    signal === "SIGTERM" ||
    signal === "SIGKILL" ||
    (status === 0 && stderr === "") ||
    (status === 125 && stderr.startsWith("fallthru: no session c"));
  let turn = 0;
  await Promise.all([
    ...[0, 1, 2, 3, 4, 5, 6, 7].map(cycle),
    loop(() => call(["list"], isQuiet)),
    loop(() => call(["list", "--json"], isQuiet)),
    ...[0, 1].map(() => loop(() => call(["run", `@c${turn++ % 8}`, "--", "true"], isEntered))),
    loop(() =>
      call(
        ["run", `@c${turn++ % 8}`, "--pid-namespace", "--", "true"],
        ({ status, ...rest }) => status === 143 || status === 137 || isEntered({ status, ...rest }),
      ),
    ),
    ...[0, 1].map(() => loop(() => call(["run", "tiny", "--", "true"], isQuiet))),
    loop(() => call(["recover"], ({ stdout, ...rest }) => isQuiet({ stdout, ...rest }) && stdout === "")),
    loop(() => call(["gc"], ({ stdout, ...rest }) => isQuiet({ stdout, ...rest }) && stdout === "")),
  ]);
  expect([...errors]).toEqual([]);
  expect(await leftoversAfter(before)).toEqual([]);
  console.log(counts);
});
