// Our union mount against the kernel's overlayfs and the others in user space: node_modules/.bin/bun bench/union.ts
// [--root=DIR] [--rounds=7] [--size=BYTES] [--only=TEXT,…: lines that contain one] [--kinds=NAME,…] [--skip=TEXT,…]
// [--warm=1: rounds that aren't counted] [--minutes=N: what wasn't measured until then is left out]
// Needs fuse-overlayfs, unionfs-fuse, mergerfs (those that are missing are left out), git, perl and python3.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { Clock, machine, markdown, numberOption, run, type Series, shortTime, textOption } from "./measure.ts";
import { inPrivatePlace } from "./place.ts";
import { debianRoot } from "./roots.ts";
import { makeExtra, makeLayers, type Target, type Workload, workloads } from "./workloads.ts";
import { type UnionKind, unionKinds, withUnion } from "./unions.ts";

/** Ours may take this many times as long as each other's; what is missing here may take as long. */
const wanted: Readonly<Record<Target, Readonly<Record<string, number>>>> = {
  cold: { overlay: 3, "fuse-overlayfs": 0.5 },
  warm: { overlay: 1.3, "fuse-overlayfs": 0.5 },
  data: { overlay: 1.05 },
  build: { overlay: 1.15 },
};

const keepPackages = [
  "--skip=cleanup/apt",
  '--customize-hook=chroot "$1" apt-get -q -y --install-recommends install build-essential --download-only',
];

function isCold({ name }: Workload): boolean {
  return name.includes("cold");
}

/** @returns whether it could do it */
function measure(clock: Clock, kind: UnionKind, workload: Workload, lowers: readonly string[], base: string): boolean {
  return withUnion(kind, lowers, base, (merged) => {
    const sh = (text: string): boolean => spawnSync("sh", ["-c", text], { cwd: merged, stdio: "ignore" }).status === 0;
    if (workload.prepare !== undefined && !sh(workload.prepare)) return false;
    if (isCold(workload) || workload.target === "data" || workload.target === "build") run(["sync"]);
    if (isCold(workload)) writeFileSync("/proc/sys/vm/drop_caches", "3");
    const start = performance.now();
    const isDone = sh(workload.work);
    if (isDone) clock.add(`${workload.name} ${kind.name}`, performance.now() - start);
    return isDone;
  });
}

/** Theirs over the time of ours, and how far that is from what is wanted: above 1 it falls short. */
function compare(target: Target, kind: string, ours: Series, theirs: Series): { ratio: number; shortfall: number } {
  const ratio = ours.median / theirs.median;
  return { ratio, shortfall: ratio / (wanted[target][kind] ?? 1) };
}

function report(clock: Clock, lines: readonly Workload[], kinds: readonly UnionKind[]): string {
  const others = kinds.filter(({ name }) => name !== "fallthru").map(({ name }) => name);
  const measured = lines.filter(({ name }) => clock.get(`${name} fallthru`).count > 0);
  const rows = measured.map(({ name, target }) => {
    const ours = clock.get(`${name} fallthru`);
    let worst = 0;
    const cells = others.map((other) => {
      const theirs = clock.get(`${name} ${other}`);
      if (theirs.count === 0) return "";
      const { ratio, shortfall } = compare(target, other, ours, theirs);
      worst = Math.max(worst, shortfall);
      const figure = `${shortTime(theirs.median)} (${ratio.toFixed(2)})`;
      return shortfall > 1 ? `**${figure}**` : figure;
    });
    const range = `${shortTime(ours.min)}-${shortTime(ours.max)}`;
    return { worst, cells: [name, shortTime(ours.median), range, ...cells, String(ours.count)] };
  });
  const sorted = rows.toSorted((a, b) => b.worst - a.worst).map(({ cells }) => cells);
  return markdown([["", "fallthru, ms", "min-max", ...others, "n"], ...sorted]);
}

await inPrivatePlace(({ base, fallthru }) => {
  const size = numberOption("size", 2 ** 30);
  const chosen = (names: string | undefined, text: string): boolean =>
    names?.split(",").some((name) => text.includes(name)) ?? false;
  const [only, skip, kindNames] = [textOption("only"), textOption("skip"), textOption("kinds")];
  const lines = workloads(size).filter(({ name }) => (only === undefined || chosen(only, name)) && !chosen(skip, name));
  const kinds = unionKinds(fallthru).filter(
    ({ name }) => kindNames === undefined || kindNames.split(",").includes(name),
  );
  const root = debianRoot("buildd", "buildd");
  const packages = lines.some(({ isBuild }) => isBuild === true) ? debianRoot("minbase", "packages", keepPackages) : "";
  const extra = makeExtra(base, root, size);
  const layers = makeLayers(base, 48);
  console.log(`${machine()}\n`);
  const clock = new Clock();
  const [warm, end] = [numberOption("warm", 1), performance.now() + numberOption("minutes", 600) * 60_000];
  const measureLine = (line: Workload, round: number): void => {
    const many = line.layers === undefined || line.layers === 1 ? [] : layers;
    const lowers = [extra, ...many, line.isBuild === true ? packages : root];
    for (const kind of kinds) {
      if (line.changesLower === true && !kind.isCopyOnWrite) continue;
      // What warms up isn't counted.
      const isDone = measure(round < 0 ? new Clock() : clock, kind, line, lowers, base);
      if (!isDone && round === -warm) console.error(`${kind.name} can't: ${line.name}`);
    }
  };
  try {
    for (let round = -warm; round < numberOption("rounds", 7); round++) {
      for (const line of lines) if (performance.now() < end) measureLine(line, round);
    }
  } finally {
    // What was measured before something failed is worth as much.
    console.log(report(clock, lines, kinds));
  }
  console.log("\nIn parentheses: how many times as long ours takes. Bold: more than is wanted.");
});
