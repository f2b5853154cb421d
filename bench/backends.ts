// The whole cycle (begin, run, end) and a build on chroots of every type, with other sessions open; and LVM's snapshots against an
// overlay, inside one virtual machine. Prints tables; --plot=FILE writes a picture.
//   node_modules/.bin/bun bench/backends.ts [host] [lvm] [--root=DIR] [--rounds=5] [--open=1,10,50] [--copies=10] [--plot=FILE.svg]
// What copies the whole root for each session has at most --copies of them open.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { runGuest } from "../test/support/guest.ts";
import { Clock, machine, markdown, numberOption, run, shortTime, textOption, words } from "./measure.ts";
import { inPrivatePlace, type Place } from "./place.ts";
import { plot, type Line } from "./plot.ts";
import { debianRoot } from "./roots.ts";

const rounds = numberOption("rounds", 5);
const copies = numberOption("copies", 10);
const counts = (textOption("open") ?? "1,10,50").split(",").map(Number);

/** One way to have a throw-away root. */
interface Backend {
  readonly name: string;
  readonly isCopied: boolean;
  readonly begin: (id: string) => void;
  readonly run: (id: string, script: string) => void;
  readonly end: (id: string) => void;
}

/** Forty files of C, each compiled by itself, and a program of them. */
const build = `mkdir /work && cd /work && for i in $(seq 40); do
  echo "#include <stdio.h>
  int f$i(int n) { for (int k = 0; k < n; k++) printf(\\"%d\\", k); return n; }" >f$i.c && cc -O2 -c f$i.c || exit 1
done && ar cr all.a *.o && rm -r /work`;

function sessionsOf({ fallthru }: Place, name: string, keys: readonly string[], isCopied = false): Backend {
  writeFileSync(`/etc/schroot/chroot.d/${name}.conf`, `${[`[${name}]`, ...keys, "profile=fallthru"].join("\n")}\n`);
  return {
    name,
    isCopied,
    begin: (id) => run([fallthru, "begin", name, "--name", id]),
    run: (id, script) => run([fallthru, "run", `@${id}`, "--directory", "/", "--", "sh", "-c", script]),
    end: (id) => run([fallthru, "end", id]),
  };
}

function plainCopies(base: string, root: string): Backend {
  const copyOf = (id: string): string => join(base, `copy-${id}`);
  return {
    name: "plain copy",
    isCopied: true,
    begin: (id) => run(["cp", "-a", root, copyOf(id)]),
    run: (id, script) => run(["chroot", copyOf(id), "sh", "-c", script]),
    end: (id) => run(["rm", "-r", copyOf(id)]),
  };
}

function backends(place: Place, root: string): Backend[] {
  const volume = mountBtrfs(place, root);
  const archive = join(place.base, "root.tar.zst");
  run(["tar", "-C", root, "--zstd", "-cf", archive, "."]);
  const directory = ["type=directory", `directory=${root}`];
  return [
    sessionsOf(place, "overlay", [...directory, "union-type=overlay"]),
    sessionsOf(place, "fallthru", [...directory, "union-type=fallthru"]),
    sessionsOf(place, "btrfs-snapshot", [
      "type=btrfs-snapshot",
      `btrfs-source-subvolume=${volume}/root`,
      `btrfs-snapshot-directory=${volume}/snapshots`,
    ]),
    sessionsOf(place, "file", ["type=file", `file=${archive}`], true),
    plainCopies(place.base, root),
  ];
}

/** A file system in a file; it goes with the name space, and its loop device with it. */
function mountBtrfs({ base }: Place, root: string): string {
  const [image, volume] = [join(base, "btrfs.img"), join(base, "btrfs")];
  mkdirSync(volume);
  run(["truncate", "-s", "8G", image]);
  run(["mkfs.btrfs", "-q", image]);
  run(["mount", "-o", "loop", image, volume]);
  run(["btrfs", "-q", "subvolume", "create", `${volume}/root`]);
  mkdirSync(`${volume}/snapshots`);
  run(["cp", "-a", `${root}/.`, `${volume}/root`]);
  return volume;
}

function cycle(backend: Backend): void {
  backend.begin("bench");
  backend.run("bench", "echo x >/etc/bench");
  backend.end("bench");
}

function idOf({ name }: Backend, number: number): string {
  return `${name.replace(" ", "-")}-${number}`;
}

/** All kinds take turns in each round, so that whatever else the machine does meets all. */
function measure(clock: Clock, all: readonly Backend[]): void {
  let open = 0;
  for (const backend of all) cycle(backend);
  for (const count of counts) {
    for (; open < count - 1; open++)
      for (const each of all) if (!each.isCopied || open < copies) each.begin(idOf(each, open));
    for (let round = 0; round < rounds; round++) {
      for (const each of all) clock.time(`${each.name} ${count}`, () => cycle(each));
    }
  }
  for (let round = 0; round < Math.min(rounds, 3); round++) {
    for (const each of all) {
      each.begin("bench");
      clock.time(`${each.name} build`, () => each.run("bench", build));
      each.end("bench");
    }
  }
  for (const each of all)
    for (let index = 0; index < open; index++) if (!each.isCopied || index < copies) each.end(idOf(each, index));
}

function report(
  title: string,
  clock: Clock,
  names: readonly string[],
  columns: readonly string[],
  heads: readonly string[],
): Line[] {
  const cell = (name: string, column: string): string => {
    const { median, min, max, count } = clock.get(`${name} ${column}`);
    return count === 0 ? "" : `${shortTime(median)} (${shortTime(min)}-${shortTime(max)})`;
  };
  console.log(
    `\n${markdown([[title, ...heads], ...names.map((name) => [name, ...columns.map((column) => cell(name, column))])])}`,
  );
  return names.map((name) => ({
    name,
    points: columns
      .filter((column) => column !== "build")
      .map((column) => [Number(column), clock.get(`${name} ${column}`).median]),
  }));
}

const lines: Line[] = [];
const wanted = words();
await inPrivatePlace(async (place) => {
  console.log(`${machine()}; medians in ms, smallest and largest in parentheses`);
  if (wanted.length === 0 || wanted.includes("host")) {
    const all = backends(place, debianRoot("buildd", "buildd"));
    const clock = new Clock();
    measure(clock, all);
    const heads = [...counts.map((count) => `${count} open`), "build"];
    lines.push(
      ...report(
        "whole cycle",
        clock,
        all.map(({ name }) => name),
        [...counts.map(String), "build"],
        heads,
      ),
    );
  }
  if (wanted.length === 0 || wanted.includes("lvm")) {
    process.env["TMPDIR"] = place.base;
    const said = await runGuest(resolve(import.meta.dirname, "backends.sh"), {
      timeoutMs: 1_800_000,
      diskBytes: 2 ** 31,
    });
    const clock = new Clock();
    for (const [, name = "", open = "", ms = ""] of said.matchAll(/^cycle (\S+) (\d+) (\d+)$/gm))
      clock.add(`${name} ${Number(open) + 1}`, Number(ms));
    const columns = [1, 11, 26];
    const heads = columns.map((count) => `${count} open`);
    report("in a virtual machine", clock, ["overlay", "thin", "classic"], columns.map(String), heads);
  }
  rmSync(join(place.base, "root.tar.zst"), { force: true });
  if (wanted.length === 0 || wanted.includes("host")) run(["umount", "--lazy", join(place.base, "btrfs")]);
});
const file = textOption("plot");
if (file !== undefined && lines.length > 0) writeFileSync(file, plot(lines));
