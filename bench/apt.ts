// `apt-get install -y build-essential` in a session against the same in an overlay that is mounted by hand and entered
// with chroot(8): node_modules/.bin/bun bench/apt.ts [--root=DIR] [--rounds=5]
// The packages lie in the root's own /var/cache/apt/archives, so no network is measured.
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Clock, machine, numberOption, repeat, type Row, run, table } from "./measure.ts";
import { describeForBoth, inPrivatePlace, type Place } from "./place.ts";
import { debianRoot } from "./roots.ts";

const install = ["apt-get", "-q", "-y", "--install-recommends", "install", "build-essential"];
const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const command = ["env", "-i", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", path, ...install, "--no-download"];

/** Lists and packages stay in the root. */
const keepPackages = ["--skip=cleanup/apt", `--customize-hook=chroot "$1" ${install.join(" ")} --download-only`];

/** What the other's dirty pages are must not be this one's time. */
function settle(): void {
  run(["sync"]);
}

function inSession(clock: Clock, { fallthru }: Place, chroot: string): void {
  settle();
  clock.time("session", () => {
    run([fallthru, "begin", chroot, "--name", "apt"]);
    clock.time("session command", () => run([fallthru, "run", "@apt", "--directory", "/", "--", ...command]));
    run([fallthru, "end", "apt"]);
  });
}

function inRun(clock: Clock, { fallthru }: Place, chroot: string): void {
  settle();
  clock.time("run", () => run([fallthru, "run", chroot, "--directory", "/", "--", ...command]));
}

/** The mounts are those of the profile that the session has. */
const submounts = ["proc", "sys", "dev", "dev/pts", "home", "tmp"];

function byHand(clock: Clock, { base }: Place, root: string): void {
  const [upper, work, merged] = ["upper", "work", "merged"].map((name) => join(base, "hand", name));
  if (upper === undefined || work === undefined || merged === undefined) return;
  settle();
  clock.time("hand", () => {
    for (const directory of [upper, work, merged]) mkdirSync(directory, { recursive: true });
    run(["mount", "-t", "overlay", "overlay", "-o", `lowerdir=${root},upperdir=${upper},workdir=${work}`, merged]);
    for (const name of submounts) run(["mount", "--bind", `/${name}`, join(merged, name)]);
    clock.time("hand command", () => run(["chroot", merged, ...command]));
    for (const name of submounts.toReversed()) run(["umount", join(merged, name)]);
    unmountWhenIdle(merged);
    rmSync(join(base, "hand"), { recursive: true });
  });
}

/** What apt-get has started may take a moment to end; a session's `end` sees to that, umount(8) doesn't. */
function unmountWhenIdle(path: string): void {
  run([
    "sh",
    "-c",
    `i=0; until umount "$0" 2>/dev/null; do i=$((i+1)); [ $i -lt 500 ] || exit 1; sleep 0.02; done`,
    path,
  ]);
}

await inPrivatePlace((place) => {
  const root = debianRoot("minbase", "packages", keepPackages);
  const chroot = describeForBoth(root);
  console.log(`${machine()}\n`);
  const sides = [
    (clock: Clock) => inSession(clock, place, chroot),
    (clock: Clock) => byHand(clock, place, root),
    (clock: Clock) => inRun(clock, place, chroot),
  ];
  const clock = repeat(numberOption("rounds", 15), (clock) => {
    for (const side of sides) side(clock);
    // Each takes each place in turn: what one has deleted, the disk gives back while the next is measured.
    sides.push(...sides.splice(0, 1));
  });
  const row = (what: string, ours: string, theirs: string, wanted?: number): Row => {
    const sides = { ours: clock.get(ours), theirs: clock.get(theirs) };
    return { what, ...sides, ratio: "slower", ...(wanted === undefined ? {} : { wanted }) };
  };
  const rows = [
    row("`run @S -- apt-get install`, in a session that was begun", "session command", "hand command", 1.02),
    row("the same with `begin` and `end`, or mount, umount and rm", "session", "hand"),
    row("`run CHROOT -- apt-get install`, the whole cycle", "run", "hand"),
  ];
  console.log(table("fallthru", "by hand", rows));
});
