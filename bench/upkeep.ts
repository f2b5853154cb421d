// How long a mount of ours pauses when its server is killed, and what memory the server has after a walk over many files:
// node_modules/.bin/bun bench/upkeep.ts [--files=1000000] [--rounds=15]
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Clock, machine, numberOption, plainTable, run } from "./measure.ts";
import { inPrivatePlace } from "./place.ts";
import { unionKinds, withUnion } from "./unions.ts";

const files = numberOption("files", 1_000_000);
const rounds = numberOption("rounds", 15);

/** `count` empty files, a thousand to a directory. */
function makeFiles(directory: string, count: number): void {
  mkdirSync(directory);
  run(["mount", "-t", "tmpfs", "-o", "nr_inodes=0", "files", directory]);
  const script = `for i in $(seq ${Math.ceil(count / 1000)}); do mkdir d$i; (cd d$i; seq 1000 | xargs touch); done`;
  run(["sh", "-ec", `cd '${directory}'; ${script}`]);
}

/** The process that serves our mount: of the copy of the executable that this benchmark made. */
function serverOf(fallthru: string): number {
  for (const id of readdirSync("/proc")) {
    try {
      if (
        readlinkSync(`/proc/${id}/exe`) === fallthru &&
        readFileSync(`/proc/${id}/cmdline`, "utf8").includes("\0serve\0")
      )
        return Number(id);
    } catch {
      // It has just ended, or is no process.
    }
  }
  throw new Error("no server runs");
}

function residentMib(id: number): number {
  const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1];
  return Math.round(Number(kib) / 102.4) / 10;
}

/**
 * Milliseconds from the kill until the next request is answered.
 * @returns those of the first kill: that server has in memory what it has told the kernel, which is freed before its end is known
 */
function measurePause(merged: string, fallthru: string, what: string, clock: Clock): number {
  let first = 0;
  for (let round = 0; round <= rounds; round++) {
    process.kill(serverOf(fallthru), "SIGKILL");
    const start = performance.now();
    run(["test", "!", "-e", join(merged, `${what} ${round}`)]);
    if (round > 0) clock.add(what, performance.now() - start);
    else first = performance.now() - start;
    run(["sleep", "0.2"]);
  }
  return first;
}

await inPrivatePlace(({ base, fallthru }) => {
  const lower = join(base, "files");
  makeFiles(lower, files);
  const [ours] = unionKinds(fallthru);
  if (ours === undefined) throw new Error("there is no kind of ours");
  const clock = new Clock();
  withUnion(ours, [lower], base, (merged) => {
    run(["ls", "-lR", join(merged, "d1")]);
    const start = residentMib(serverOf(fallthru));
    measurePause(merged, fallthru, "a thousand files known", clock);
    run(["find", merged, "-newermt", "2100-01-01"]);
    const known = residentMib(serverOf(fallthru));
    const first = measurePause(merged, fallthru, `${files} files known`, clock);
    run(["find", merged, "-newermt", "2100-01-01"]);
    writeFileSync("/proc/sys/vm/drop_caches", "2");
    run(["sleep", "3"]);
    const after = residentMib(serverOf(fallthru));
    const table = ["a thousand files known", `${files} files known`].map(
      (what) => [`pause: ${what}`, clock.get(what), "at most 100"] as const,
    );
    console.log(`${machine()}\n\n${plainTable(table)}`);
    console.log(`\nThe first kill, of the server that has those ${files} in memory: ${first.toFixed(0)} ms`);
    console.log(
      `\nMemory of the server: ${start} MiB with a thousand files known, ${known} after a walk over ${files},`,
    );
    console.log(
      `${after} when the kernel has forgotten them: ${(after / start).toFixed(2)} times (at most 1.2 is wanted)`,
    );
  });
  run(["umount", lower]);
});
