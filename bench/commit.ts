// Taking a session's changes over: `node_modules/.bin/bun bench/commit.ts [--rounds=5] [--files=100000] [--changes=10000]`.
import { appendFileSync, chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { machine, numberOption, plainTable, repeat, run, table } from "./measure.ts";
import { inPrivatePlace } from "./place.ts";

const files = numberOption("files", 100_000);
const changes = numberOption("changes", 10_000);
const perDirectory = 50;

await inPrivatePlace(({ base, fallthru }) => {
  const [root, theirs, merged] = [join(base, "root"), join(base, "theirs"), join(base, "merged")];
  for (const path of [root, theirs, merged]) mkdirSync(path);
  fill(root);
  const sync = (from: string, to: string): void => void run(["rsync", "-aHAX", "--delete", `${from}/`, `${to}/`]);
  sync(root, theirs);
  mkdirSync("/etc/schroot/none", { recursive: true });
  for (const file of ["copyfiles", "fstab", "nssdatabases"]) writeFileSync(`/etc/schroot/none/${file}`, "");
  writeFileSync("/etc/schroot/chroot.d/root.conf", `[root]\ntype=directory\ndirectory=${root}\nprofile=none\n`);
  run([fallthru, "begin", "root", "--name", "s"]);
  run(["mount", "--bind", "/run/fallthru/mount/s/s", merged]);
  change(merged);
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

function directoryOf(root: string, at: number): string {
  return join(root, `top${at % 20}`, `directory${at}`);
}

function fill(root: string): void {
  for (let at = 0; at < files / perDirectory; at++) {
    mkdirSync(directoryOf(root, at), { recursive: true });
    for (let file = 0; file < perDirectory; file++)
      writeFileSync(join(directoryOf(root, at), `file${file}`), `${at} ${file}\n`.repeat(20 + (file % 50)));
  }
}

/** Four in ten are written to, two get another mode, two are new, one is deleted and one renamed. */
function change(merged: string): void {
  const step = Math.max(1, Math.floor(files / changes));
  for (let done = 0, at = 0; done < changes; done++, at += step) {
    const directory = directoryOf(merged, Math.floor((at % files) / perDirectory));
    const path = join(directory, `file${at % perDirectory}`);
    const kind = done % 10;
    if (kind < 4) appendFileSync(path, "changed\n");
    else if (kind < 6) chmodSync(path, 0o600);
    else if (kind < 8) writeFileSync(join(directory, `new${at}`), "new\n".repeat(100));
    else if (kind < 9) rmSync(path);
    else renameSync(path, join(directory, `renamed${at}`));
  }
}
