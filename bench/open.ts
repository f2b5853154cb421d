import { Clock, numberOption, plainTable, type Row, run, table } from "./measure.ts";

/**
 * begin, run and end with thousands of sessions open against the same with none. "None" is measured before they are
 * begun and again after they have ended, so that a machine that slows down meanwhile counts on both sides.
 * @returns two Markdown tables
 */
export function measureOpen(fallthru: string, chroot: string): string {
  const rounds = numberOption("rounds", 15);
  const count = numberOption("sessions", 5000);
  const clock = new Clock();
  measureSteps(new Clock(), fallthru, chroot, 1, "");
  measureSteps(clock, fallthru, chroot, Math.ceil(rounds / 2), "none");
  clock.time("begin all", () => each(count, `"$0" begin "$1" --name open$i`, fallthru, chroot));
  measureSteps(clock, fallthru, chroot, rounds, "many");
  for (let round = 0; round < rounds; round++) clock.time("list", () => run([fallthru, "list"]));
  clock.time("end all", () => run([fallthru, "end", "--all"]));
  measureSteps(clock, fallthru, chroot, Math.ceil(rounds / 2), "none");
  const rows = ["begin", "run", "end"].map((step): Row => {
    const sides = { ours: clock.get(`${step} many`), theirs: clock.get(`${step} none`) };
    return { what: `\`${step}\``, ...sides, ratio: "slower", wanted: 1.3 };
  });
  const others = [
    [`\`list\` with ${count} open`, clock.get("list"), "at most 100"],
    [`${count} \`begin\`s, one after the other`, clock.get("begin all")],
    [`\`end --all\` of ${count}`, clock.get("end all")],
  ] as const;
  return `${table(`${count} open`, "none open", rows)}\n\n${plainTable(others)}`;
}

function measureSteps(clock: Clock, fallthru: string, chroot: string, rounds: number, suffix: string): void {
  for (let round = 0; round < rounds; round++) {
    clock.time(`begin ${suffix}`, () => run([fallthru, "begin", chroot, "--name", "bench"]));
    for (let time = 0; time < 3; time++) {
      clock.time(`run ${suffix}`, () => run([fallthru, "run", "@bench", "--directory", "/", "--", "true"]));
    }
    clock.time(`end ${suffix}`, () => run([fallthru, "end", "bench"]));
  }
}

/** A shell's loop over `$i`: starting them from here would take longer than they do. */
function each(count: number, command: string, ...args: readonly string[]): void {
  run(["sh", "-c", `i=0; while [ $i -lt ${count} ]; do ${command} >/dev/null || exit 1; i=$((i+1)); done`, ...args]);
}
