// What it costs to start at all: `node_modules/.bin/bun bench/start.ts [--rounds=N]`. The time of /bin/true is what
// starting any process costs from here; it is in every other figure too.
import { machine, numberOption, plainTable, repeat, run, type Series } from "./measure.ts";
import { inPrivatePlace } from "./place.ts";

await inPrivatePlace(({ fallthru }) => {
  const programs: Readonly<Record<string, readonly string[]>> = {
    "/bin/true": ["/bin/true"],
    "schroot --version": ["schroot", "--version"],
    "fallthru --version": [fallthru, "--version"],
    "fallthru list (no session)": [fallthru, "list"],
    "node -e 0": ["node", "-e", "0"],
  };
  run([fallthru, "list"]); // makes the state directory
  const clock = repeat(numberOption("rounds", 51), (clock) => {
    for (const [name, command] of Object.entries(programs)) clock.time(name, () => run(command));
  });
  console.log(`${machine()}\n`);
  console.log(plainTable(Object.keys(programs).map((name): [string, Series] => [name, clock.get(name)])));
});
