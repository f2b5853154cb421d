// The 123 calls that one `sbuild hello` makes, by somebody who isn't root: ours through the service, schroot's set-user-ID.
//   node_modules/.bin/bun bench/replay.ts [--root=DIR] [--rounds=10]
// sbuild-calls.tsv has them: exit status and words. What took longer than 0.1 s (apt-get, the build) is `true`, or puts in place what the
// calls after it want to find.
import { writeFileSync } from "node:fs";
import { Clock, machine, numberOption, run, type Row, table } from "./measure.ts";
import { inPrivatePlace } from "./place.ts";
import { debianRoot } from "./roots.ts";
import { linkSchroot, makeBuilder, publish, startService } from "./user.ts";

const rounds = numberOption("rounds", 10);
const steps = ["begin-session", "end-session", "run-session", "info"] as const;

await inPrivatePlace(async (place) => {
  const builder = makeBuilder(place);
  const keys = [
    "type=directory",
    `directory=${debianRoot("buildd", "buildd")}`,
    "union-type=overlay",
    "profile=sbuild",
  ];
  const access = ["groups=sbuild", "root-groups=sbuild"];
  writeFileSync("/etc/schroot/chroot.d/buildd.conf", `${["[buildd]", ...keys, ...access].join("\n")}\n`);
  const service = await startService(place);
  try {
    const replay = [...builder.as, "perl", publish(place, "replay.pl"), publish(place, "sbuild-calls.tsv")];
    const programs = { ours: linkSchroot(place), theirs: "/usr/bin/schroot" };
    const clock = new Clock();
    for (let round = -1; round < rounds; round++) {
      for (const [side, program] of Object.entries(programs)) {
        const lines = run([...replay, program])
          .trim()
          .split("\n");
        if (round >= 0) note(clock, side, lines);
      }
    }
    console.log(`${machine()}; ${run(["schroot", "--version"]).split("\n", 1)[0] ?? ""}\n`);
    console.log(
      table("fallthru", "schroot", [
        row(clock, "all", "all 123 calls", 1),
        ...steps.map((step) => stepRow(clock, step)),
      ]),
    );
  } finally {
    service.kill();
  }
});

function note(clock: Clock, side: string, lines: readonly string[]): void {
  let sum = 0;
  for (const line of lines) {
    const [action = "", microseconds = ""] = line.split(" ");
    clock.add(`${action} ${side}`, Number(microseconds) / 1000);
    sum += Number(microseconds) / 1000;
  }
  clock.add(`all ${side}`, sum);
}

function stepRow(clock: Clock, step: (typeof steps)[number]): Row {
  const wanted = step === "run-session" ? 1 : step === "info" ? undefined : 6;
  return row(clock, step, `\`schroot --${step}\``, wanted);
}

function row(clock: Clock, name: string, what: string, wanted: number | undefined): Row {
  const sides = { ours: clock.get(`${name} ours`), theirs: clock.get(`${name} theirs`) };
  return { what, ...sides, ratio: "faster", ...(wanted === undefined ? {} : { wanted }) };
}
