// What a session has changed: `node_modules/.bin/bun bench/changes.ts [--rounds=N] [--files=N] [--changes=N]`.
import { appendFileSync, chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { machine, numberOption, repeat, run, type Row, table } from "./measure.ts";
import { inPrivatePlace, type Place } from "./place.ts";

const files = numberOption("files", 100_000);
const changes = numberOption("changes", 10_000);
const perDirectory = 50;

await inPrivatePlace((place) => {
  const [large, small] = [begin(place, "large", files), begin(place, "small", files / 10)];
  console.error("begun ...");
  const { fallthru } = place;
  const clock = repeat(numberOption("rounds", 7), (clock) => {
    clock.time("diff large", () => run([fallthru, "diff", "@large", "--name-status"]));
    clock.time("rsync", () => run(["rsync", "-aHAXni", "--delete", `${large.merged}/`, `${large.root}/`]));
    clock.time("diff small", () => run([fallthru, "diff", "@small", "--name-status"]));
  });
  const what = `\`diff\` of ${changes} changed files over a root of`;
  const rows: Row[] = [
    {
      what: `${what} ${files}; dry run of \`rsync -aHAX --delete\``,
      ours: clock.get("diff large"),
      theirs: clock.get("rsync"),
      ratio: "faster",
      wanted: 10,
    },
    {
      what: `${what} ${files}; of ${files / 10}`,
      ours: clock.get("diff large"),
      theirs: clock.get("diff small"),
      ratio: "slower",
      wanted: 1.2,
    },
  ];
  console.log(`${machine()}\n\n${table("ours", "theirs", rows)}`);
  for (const { merged } of [large, small]) run(["umount", merged]);
});

interface Begun {
  readonly root: string;
  /** The session's union alone. */
  readonly merged: string;
}

/** A session over a root of so many files, in which there are changes of all kinds. */
function begin({ base, fallthru }: Place, name: string, count: number): Begun {
  const [root, merged] = [join(base, name), join(base, `${name}-merged`)];
  for (const path of [root, merged]) mkdirSync(path);
  for (let at = 0; at < count / perDirectory; at++) {
    mkdirSync(directoryOf(root, at), { recursive: true });
    for (let file = 0; file < perDirectory; file++)
      writeFileSync(join(directoryOf(root, at), `file${file}`), `${at} ${file}\n`.repeat(20 + (file % 50)));
  }
  writeFileSync(`/etc/schroot/chroot.d/${name}.conf`, `[${name}]\ntype=directory\ndirectory=${root}\nprofile=none\n`);
  mkdirSync("/etc/schroot/none", { recursive: true });
  for (const file of ["copyfiles", "fstab", "nssdatabases"]) writeFileSync(`/etc/schroot/none/${file}`, "");
  run([fallthru, "begin", name, "--name", name]);
  run(["mount", "--bind", `/run/fallthru/mount/${name}/${name}`, merged]);
  change(merged, count);
  return { root, merged };
}

function directoryOf(root: string, at: number): string {
  return join(root, `top${at % 20}`, `directory${at}`);
}

/** Four in ten are written to, two get another mode, two are new, one is deleted and one renamed. */
function change(merged: string, count: number): void {
  const step = Math.max(1, Math.floor(count / changes));
  for (let done = 0, at = 0; done < changes; done++, at += step) {
    const directory = directoryOf(merged, Math.floor((at % count) / perDirectory));
    const path = join(directory, `file${at % perDirectory}`);
    const kind = done % 10;
    if (kind < 4) appendFileSync(path, "changed\n");
    else if (kind < 6) chmodSync(path, 0o600);
    else if (kind < 8) writeFileSync(join(directory, `new${at}`), "new\n".repeat(100));
    else if (kind < 9) rmSync(path);
    else renameSync(path, join(directory, `renamed${at}`));
  }
}
