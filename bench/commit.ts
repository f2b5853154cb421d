// Taking a session's changes over: `node_modules/.bin/bun bench/commit.ts [--rounds=5] [--files=100000] [--changes=10000]`.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { beginOver, changeFiles, fillRoot } from "./changed.ts";
import { machine, numberOption, plainTable, repeat, run, table } from "./measure.ts";
import { inPrivatePlace } from "./place.ts";

const files = numberOption("files", 100_000);
const changes = numberOption("changes", 10_000);

await inPrivatePlace((place) => {
  const { base, fallthru } = place;
  const [root, theirs, merged] = [join(base, "root"), join(base, "theirs"), join(base, "merged")];
  for (const path of [root, theirs]) mkdirSync(path);
  fillRoot(root, { files });
  const sync = (from: string, to: string): void => void run(["rsync", "-aHAX", "--delete", `${from}/`, `${to}/`]);
  sync(root, theirs);
  beginOver(place, "s", root, merged);
  changeFiles(merged, { files, changes });
  const clock = repeat(numberOption("rounds", 5), (round) => {
    run(["sync"]);
    round.time("commit", () => run([fallthru, "commit", "s"]));
    run(["sync"]);
    round.time("rsync", () => sync(merged, theirs));
    run(["sync"]);
    round.time("undo", () => run([fallthru, "undo"]));
    sync(root, theirs);
  });
  run(["umount", merged]);
  const what = `\`commit\` of ${changes} changed files over a root of ${files}; \`rsync -aHAX --delete\` of the same`;
  const row = { what, ours: clock.get("commit"), theirs: clock.get("rsync"), ratio: "faster", wanted: 1 } as const;
  const undone = plainTable([[`\`undo\` of it`, clock.get("undo")]]);
  console.log(`${machine()}\n\n${table("ours", "theirs", [row])}\n\n${undone}`);
});
