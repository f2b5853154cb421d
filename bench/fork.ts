// `fork` against a copy of what the session has changed, 1 GiB:
//   node_modules/.bin/bun bench/fork.ts [--rounds=5] [--mib=1024] [--upper=DIR]
// With --upper=DIR the changes are on another file system, one with reflinks for example.
import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Clock, machine, numberOption, type Row, run, table, textOption } from "./measure.ts";
import { inPrivatePlace, type Place } from "./place.ts";

const rounds = numberOption("rounds", 5);
const mib = numberOption("mib", 1024);
const id = "bench";
const mountPoint = `/run/fallthru/mount/${id}/${id}`;

/** Half in 16 large files, half in files of 64 KiB, 100 a directory. */
const fill = `mkdir big small; for i in $(seq 16); do head -c $(($1 * 32768)) /dev/urandom >big/$i; done
  for n in $(seq $(($1 * 8))); do d=small/$((n / 100)); test -d $d || mkdir $d; head -c 65536 big/1 >$d/$n; done`;

/** A root with busybox alone: what is below makes no difference. */
function describeRoot({ base }: Place): void {
  const root = join(base, "root");
  for (const name of ["bin", "dev", "etc", "home", "proc", "sys", "tmp"])
    mkdirSync(join(root, name), { recursive: true });
  copyFileSync("/bin/busybox", join(root, "bin/busybox"));
  run(["ln", "-s", "busybox", join(root, "bin/sleep")]);
  writeFileSync("/etc/schroot/chroot.d/bench.conf", `[bench]\ntype=directory\ndirectory=${root}\nprofile=minimal\n`);
}

interface Case {
  readonly name: string;
  /** Whether what was changed is on the disk already. */
  readonly isSynced: boolean;
  readonly isBusy: boolean;
}

const cases: readonly Case[] = [
  { name: "idle, changes on the disk", isSynced: true, isBusy: false },
  { name: "idle, changes just written", isSynced: false, isBusy: false },
  { name: "a command runs in it", isSynced: true, isBusy: true },
];

async function measure({ fallthru }: Place, one: Case, clock: Clock): Promise<void> {
  const upper = textOption("upper");
  run([fallthru, "begin", "bench", "--name", id, ...(upper === undefined ? [] : ["--upper", upper])]);
  run(["sh", "-ec", `cd "$0"; ${fill}`, mountPoint, String(mib)]);
  if (one.isSynced) run(["sync"]);
  const busy = one.isBusy
    ? spawn(fallthru, ["run", `@${id}`, "--directory", "/", "--", "sleep", "1000"], { stdio: "ignore" })
    : undefined;
  if (busy !== undefined) await new Promise((done) => setTimeout(done, 300));
  const { unions } = JSON.parse(run([fallthru, "info", `@${id}`, "--json"])) as { unions: { upper: string }[] };
  const from = unions[0]?.upper ?? "";
  const copy = join(upper ?? dirname(dirname(from)), "copied");
  // The fork moves what there is to be copied.
  clock.time(`${one.name} cp`, () => run(["cp", "-a", "--reflink=auto", from, copy]));
  rmSync(copy, { recursive: true });
  if (one.isSynced) run(["sync"]);
  clock.time(`${one.name} fork`, () => run([fallthru, "fork", `@${id}`, "--name", "bench2"]));
  run([fallthru, "end", "--force", "bench2"]);
  busy?.kill("SIGKILL");
  run([fallthru, "end", "--force", id]);
}

await inPrivatePlace(async (place) => {
  describeRoot(place);
  console.log(`${machine()}; ${mib} MiB\n`);
  const rows: Row[] = [];
  for (const one of cases) {
    const clock = new Clock();
    for (let round = 0; round < rounds; round++) await measure(place, one, clock);
    const [ours, theirs] = [clock.get(`${one.name} fork`), clock.get(`${one.name} cp`)];
    rows.push({ what: one.name, ours, theirs, ratio: "faster", ...(one.isBusy ? {} : { wanted: 20 }) });
  }
  console.log(table("fork", "cp -a --reflink=auto", rows));
});
