// `fallthru chroot import` of a Debian root against GNU tar unpacking the same archive and writing it to the disk:
// node_modules/.bin/bun bench/import.ts [--root=DIR] [--rounds=5]
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Clock, machine, numberOption, repeat, type Row, run, table } from "./measure.ts";
import { inPrivatePlace, type Place } from "./place.ts";
import { debianRoot } from "./roots.ts";

const everything = ["--xattrs", "--xattrs-include=*", "--numeric-owner"];

/** How each is packed, and how GNU tar is told. */
const compressions = {
  plain: [],
  gzip: ["--gzip"],
  zstd: ["--zstd"],
  xz: ["--use-compress-program=xz -1 -T2"],
} as const;

type Name = keyof typeof compressions;

function ours(clock: Clock, { fallthru }: Place, name: Name, archive: string): void {
  run(["sync"]);
  clock.time(`ours ${name}`, () => run([fallthru, "chroot", "import", "measured", archive]));
  run([fallthru, "chroot", "remove", "measured"]);
}

function theirs(clock: Clock, { base }: Place, name: Name, archive: string): void {
  const target = join(base, "gnu");
  mkdirSync(target);
  run(["sync"]);
  clock.time(`theirs ${name}`, () => {
    run(["tar", ...everything, "--preserve-permissions", "-xf", archive, "-C", target]);
    run(["sync", "--file-system", target]);
  });
  rmSync(target, { recursive: true });
}

await inPrivatePlace((place) => {
  const root = debianRoot("buildd", "buildd");
  const names = Object.keys(compressions) as Name[];
  console.log(`${machine()}\n`);
  const rows = names.map((name): Row => {
    const archive = join(place.base, `root.${name}`);
    if (!existsSync(archive)) run(["tar", ...everything, ...compressions[name], "-cf", archive, "-C", root, "."]);
    const clock = repeat(numberOption("rounds", 5), (clock) => {
      ours(clock, place, name, archive);
      theirs(clock, place, name, archive);
    });
    rmSync(archive);
    return { what: name, ours: clock.get(`ours ${name}`), theirs: clock.get(`theirs ${name}`), ratio: "slower" };
  });
  console.log(table("chroot import", "tar; sync -f", rows));
});
