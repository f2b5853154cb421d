// Sessions of Fallthru against sessions of schroot, on one Debian buildd root with schroot's own profile `default`:
//   node_modules/.bin/bun bench/sessions.ts [PART...] [--root=DIR] [--rounds=15] [--sessions=5000] [--parallel=50]
import { type Clock, machine, numberOption, repeat, type Row, run, table, words } from "./measure.ts";
import { describeForBoth, inPrivatePlace } from "./place.ts";
import { debianRoot } from "./roots.ts";
import { measureOpen } from "./open.ts";

/** The two programs, each as a way to do the same thing. */
interface Program {
  readonly whole: () => void;
  readonly begin: (id: string) => void;
  readonly run: (id: string, command: readonly string[]) => void;
  readonly end: (id: string) => void;
}

const rounds = numberOption("rounds", 15);
const parallel = numberOption("parallel", 50);

function fallthruOn(fallthru: string, chroot: string): Program {
  return {
    whole: () => run([fallthru, "run", chroot, "--", "true"]),
    begin: (id) => run([fallthru, "begin", chroot, "--name", id]),
    run: (id, command) => run([fallthru, "run", `@${id}`, "--directory", "/", "--", ...command]),
    end: (id) => run([fallthru, "end", id]),
  };
}

function schrootOn(chroot: string): Program {
  return {
    whole: () => run(["schroot", "-d", "/", "-c", chroot, "--", "true"]),
    begin: (id) => run(["schroot", "-b", "-c", chroot, "-n", id]),
    run: (id, command) => run(["schroot", "-d", "/", "-r", "-c", id, "--", ...command]),
    end: (id) => run(["schroot", "-e", "-c", id]),
  };
}

/** One figure of both sides out of a clock that has `NAME 0` and `NAME 1`. */
function compare(clock: Clock, name: string, what: string, wanted?: number): Row {
  const sides = { ours: clock.get(`${name} 0`), theirs: clock.get(`${name} 1`) };
  return { what, ...sides, ratio: "faster", ...(wanted === undefined ? {} : { wanted }) };
}

function measureCycle(programs: readonly Program[]): Row[] {
  const clock = repeat(rounds, (clock) => {
    for (const [side, program] of programs.entries()) clock.time(`whole ${side}`, program.whole);
  });
  return [compare(clock, "whole", "`run CHROOT -- true`, the whole cycle", 10)];
}

function measureSteps(programs: readonly Program[]): Row[] {
  const clock = repeat(rounds, (clock) => {
    for (const [side, program] of programs.entries()) {
      clock.time(`begin ${side}`, () => program.begin("bench"));
      for (let time = 0; time < 3; time++) clock.time(`run ${side}`, () => program.run("bench", ["true"]));
      clock.time(`end ${side}`, () => program.end("bench"));
    }
  });
  const steps = [compare(clock, "begin", "`begin`", 8), compare(clock, "run", "`run @S -- true`", 1)];
  return [...steps, compare(clock, "end", "`end`", 6)];
}

/** What a session of work leaves: 20,000 files in 200 directories, 100 MB together. */
const manyFiles = `for $d (1..200) { mkdir "/many$d"; for (1..100) { open F, ">", "/many$d/$_" or die; print F "x" x 5000 } }`;

function measureFiles(programs: readonly Program[]): Row[] {
  const clock = repeat(
    rounds,
    (clock) => {
      for (const [side, program] of programs.entries()) {
        program.begin("bench");
        program.run("bench", ["perl", "-e", manyFiles]);
        clock.time(`end ${side}`, () => program.end("bench"));
      }
    },
    60,
  );
  return [compare(clock, "end", "`end` after 20,000 files, 100 MB were written", 5)];
}

/** A shell starts them all, then waits for each: none may fail. */
function atOnce(command: readonly string[]): void {
  const script = `for i in $(seq ${parallel}); do "$@" many$i >/dev/null & pids="$pids $!"; done
    for pid in $pids; do wait $pid || exit 1; done`;
  run(["sh", "-c", script, "sh", ...command]);
}

function measureParallel(fallthru: string, chroot: string): Row[] {
  const sides = [
    { begin: [fallthru, "begin", chroot, "--name"], end: [fallthru, "end"] },
    { begin: ["schroot", "-b", "-c", chroot, "-n"], end: ["schroot", "-e", "-c"] },
  ];
  const clock = repeat(rounds, (clock) => {
    for (const [side, { begin, end }] of sides.entries()) {
      clock.time(`begin ${side}`, () => atOnce(begin));
      clock.time(`end ${side}`, () => atOnce(end));
    }
  });
  return [
    compare(clock, "begin", `${parallel} \`begin\`s at once, until the last is done`, 5),
    compare(clock, "end", `${parallel} \`end\`s at once`),
  ];
}

await inPrivatePlace(({ fallthru }) => {
  const chroot = describeForBoth(debianRoot("buildd", "buildd"));
  const programs = [fallthruOn(fallthru, chroot), schrootOn(chroot)];
  const parts: Readonly<Record<string, () => Row[]>> = {
    cycle: () => measureCycle(programs),
    steps: () => measureSteps(programs),
    parallel: () => measureParallel(fallthru, chroot),
    files: () => measureFiles(programs),
  };
  console.log(`${machine()}; ${run(["schroot", "--version"]).split("\n", 1)[0] ?? ""}\n`);
  const wanted = words();
  const chosen = Object.keys(parts).filter((name) => wanted.length === 0 || wanted.includes(name));
  const rows = chosen.flatMap((name) => parts[name]?.() ?? []);
  if (rows.length > 0) console.log(table("fallthru", "schroot", rows));
  if (wanted.length === 0 || wanted.includes("open")) console.log(`\n${measureOpen(fallthru, chroot)}`);
});
