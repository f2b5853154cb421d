// 500 chroots and 200 open sessions against none: begin, run, end and the list, ours and schroot's, by root.
//   node_modules/.bin/bun bench/many.ts [--root=DIR] [--rounds=10] [--chroots=500] [--sessions=200]
import { writeFileSync } from "node:fs";
import { Clock, machine, numberOption, run, table } from "./measure.ts";
import { describeForBoth, inPrivatePlace } from "./place.ts";
import { debianRoot } from "./roots.ts";
import { linkSchroot } from "./user.ts";

const rounds = numberOption("rounds", 10);
const chroots = numberOption("chroots", 500);
const sessions = numberOption("sessions", 200);
const steps = ["begin", "run", "end", "list"] as const;
const what = { begin: "`schroot -b`", run: "`schroot -r -- true`", end: "`schroot -e`", list: "`schroot -l --all`" };

await inPrivatePlace((place) => {
  const chroot = describeForBoth(debianRoot("buildd", "buildd"));
  const programs = { ours: linkSchroot(place), theirs: "/usr/bin/schroot" };
  const clock = new Clock();
  const measure = (how: string, count: number): void => {
    for (let round = -1; round < count; round++) {
      for (const [side, program] of Object.entries(programs)) {
        measureSteps(round < 0 ? new Clock() : clock, program, chroot, `${side} ${how}`);
      }
    }
  };
  measure("none", rounds);
  describeMany(chroot);
  // Either's sessions are listed by both, so half of them each is the same work for both.
  for (const [side, program] of Object.entries(programs)) beginMany(program, chroot, side);
  measure("many", rounds);
  console.log(`${machine()}; ${run(["schroot", "--version"]).split("\n", 1)[0] ?? ""}\n`);
  console.log(`${chroots} chroots, ${sessions} sessions:\n`);
  const rows = steps.map((step) => {
    const sides = { ours: clock.get(`${step} ours many`), theirs: clock.get(`${step} theirs many`) };
    return { what: what[step], ...sides, ratio: "faster" as const, wanted: 5 };
  });
  console.log(table("fallthru", "schroot", rows));
  console.log("\nFallthru with as many, and with one chroot and no session:\n");
  const alone = steps.map((step) => {
    const sides = { ours: clock.get(`${step} ours many`), theirs: clock.get(`${step} ours none`) };
    return { what: what[step], ...sides, ratio: "slower" as const, ...(step === "run" ? { wanted: 1.1 } : {}) };
  });
  console.log(table("with as many", "with none", alone));
  for (const [side, program] of Object.entries(programs)) endMany(program, side);
});

function measureSteps(clock: Clock, program: string, chroot: string, suffix: string): void {
  clock.time(`begin ${suffix}`, () => run([program, "-b", "-c", chroot, "-n", "bench"]));
  for (let time = 0; time < 3; time++) {
    clock.time(`run ${suffix}`, () => run([program, "-d", "/", "-r", "-c", "bench", "--", "true"]));
  }
  clock.time(`end ${suffix}`, () => run([program, "-e", "-c", "bench"]));
  clock.time(`list ${suffix}`, () => run([program, "-l", "--all"]));
}

function describeMany(chroot: string): void {
  const keys = ["type=directory", "directory=/", "union-type=overlay", "profile=minimal", "users=root"];
  for (let index = 1; index < chroots; index++) {
    writeFileSync(`/etc/schroot/chroot.d/many${index}.conf`, `${[`[${chroot}-${index}]`, ...keys].join("\n")}\n`);
  }
}

/** Half of them: a shell's loop, which takes less than starting them from here. */
function beginMany(program: string, chroot: string, side: string): void {
  each(`"$0" -b -c "$1" -n "$2$i"`, program, chroot, side);
}

function endMany(program: string, side: string): void {
  each(`"$0" -e -c "$1$i"`, program, side);
}

function each(command: string, ...args: readonly string[]): void {
  const count = Math.floor(sessions / 2);
  run(["sh", "-c", `i=0; while [ $i -lt ${count} ]; do ${command} >/dev/null || exit 1; i=$((i+1)); done`, ...args]);
}
