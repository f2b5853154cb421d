// What a session has changed: `node_modules/.bin/bun bench/changes.ts [--rounds=N] [--files=N] [--changes=N]`.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { beginOver, changeFiles, fillRoot } from "./changed.ts";
import { machine, numberOption, repeat, run, type Row, table } from "./measure.ts";
import { inPrivatePlace, type Place } from "./place.ts";

const files = numberOption("files", 100_000);
const changes = numberOption("changes", 10_000);

await inPrivatePlace((place) => {
  const large = begin(place, "large", files);
  const small = begin(place, "small", files / 10);
  const dense = begin(place, "dense", files, files / 10);
  console.error("begun ...");
  const { fallthru } = place;
  const clock = repeat(numberOption("rounds", 7), (clock) => {
    clock.time("diff large", () => run([fallthru, "diff", "@large", "--name-status"]));
    clock.time("list large", () => run([fallthru, "diff", "@large"]));
    clock.time("rsync", () => run(["rsync", "-aHAXni", "--delete", `${large.merged}/`, `${large.root}/`]));
    clock.time("diff small", () => run([fallthru, "diff", "@small", "--name-status"]));
    clock.time("diff dense", () => run([fallthru, "diff", "@dense", "--name-status"]));
  });
  const what = `${changes} changed files over a root of`;
  const which = `\`diff --name-status\` of ${what}`;
  const rows: Row[] = [
    {
      what: `${which} ${files}; dry run of \`rsync -aHAX --delete\``,
      ours: clock.get("diff large"),
      theirs: clock.get("rsync"),
      ratio: "faster",
      wanted: 10,
    },
    {
      what: `\`diff\`, which says what of each differs, of ${what} ${files}; the same`,
      ours: clock.get("list large"),
      theirs: clock.get("rsync"),
      ratio: "faster",
      wanted: 10,
    },
    {
      what: `${which} ${files}, in the same ${files / 500} directories; of ${files / 10}`,
      ours: clock.get("diff dense"),
      theirs: clock.get("diff small"),
      ratio: "slower",
      wanted: 1.2,
    },
    {
      what: `${which} ${files}, in ten times as many directories; of ${files / 10}`,
      ours: clock.get("diff large"),
      theirs: clock.get("diff small"),
      ratio: "slower",
    },
  ];
  console.log(`${machine()}\n\n${table("ours", "theirs", rows)}`);
  for (const { merged } of [large, small, dense]) run(["umount", merged]);
});

interface Begun {
  readonly root: string;
  /** The session's union alone. */
  readonly merged: string;
}

/** A session over a root of so many files, in which there are changes of all kinds, among the first `within` of them. */
function begin(place: Place, name: string, count: number, within = count): Begun {
  const [root, merged] = [join(place.base, name), join(place.base, `${name}-merged`)];
  mkdirSync(root);
  fillRoot(root, { files: count });
  beginOver(place, name, root, merged);
  changeFiles(merged, { files: within, changes });
  return { root, merged };
}
