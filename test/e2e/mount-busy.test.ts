// A server of ours on a machine whose processors are busy.
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { processesIn } from "../support/cgroup.ts";
import { temporaryDirectory } from "../support/directories.ts";
import { executable, fallthru, run } from "../support/fallthru.ts";

/** How long the turns are that a thread asks the scheduler for; undefined where Linux doesn't say (before 6.12). */
function turnNs(id: number): number | undefined {
  const [, turn] = /^se\.slice +: +(\d+)$/m.exec(readFileSync(`/proc/${id}/sched`, "latin1")) ?? [];
  return turn === undefined ? undefined : Number(turn);
}

test("a server asks for short turns, and so comes in its turn as soon as it is woken up; threads that it starts have usual ones", async () => {
  const directory = temporaryDirectory("busy");
  for (const name of ["lower", "target"]) mkdirSync(join(directory, name));
  const target = join(directory, "target");
  expect(await fallthru(["mount", "-o", `lowerdir=${directory}/lower`, target])).toMatchObject({ status: 0 });
  const id = processesIn().find(
    (process) => readFileSync(`/proc/${process}/cmdline`, "utf8") === `${executable}\0serve\0`,
  );
  const threads = readdirSync(`/proc/${id}/task`).map(Number);
  const turns = threads.map((thread) => turnNs(thread));
  await run(["umount", target]);
  const usual = turnNs(process.pid);
  const isOurs = (thread: number): boolean => thread === id && usual !== undefined;
  expect(turns).toEqual(threads.map((thread) => (isOurs(thread) ? 100_000 : usual)));
});
