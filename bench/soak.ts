// Builds by Debian's sbuild, several at a time, as somebody who isn't root, some of them killed at random moments: does any fail
// that wasn't killed, and is anything left?
//   node_modules/.bin/bun bench/soak.ts [--root=DIR] [--builds=60] [--at-once=4] [--seed=1]
// The same seed kills the same builds by the same signals after the same times.
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readMountInfo } from "../src/mount/mountinfo.ts";
import { sourcePackage } from "../test/support/sources.ts";
import { machine, numberOption, run } from "./measure.ts";
import { inPrivatePlace, type Place } from "./place.ts";
import { debianRoot } from "./roots.ts";
import { type Builder, linkSchroot, makeBuilder, startService } from "./user.ts";

const builds = numberOption("builds", 60);
const atOnce = numberOption("at-once", 4);
const seed = numberOption("seed", 1);
/** One in three is killed, at any moment of the first seconds. */
const [killOneIn, lastMomentMs] = [3, 25_000];
const signals = ["SIGTERM", "SIGINT", "SIGHUP", "SIGKILL"] as const;

interface Death {
  readonly signal: (typeof signals)[number];
  readonly afterMs: number;
  /** A terminal's signals go to the whole process group. */
  readonly whom: "sbuild" | "its group";
}

/** What became of a build that wasn't killed in time, or the death that it died. */
type Outcome = { readonly kind: "built" } | { readonly kind: "killed"; readonly death: Death } | Failure;
interface Failure {
  readonly kind: "failed";
  readonly why: string;
}

await inPrivatePlace(async (place) => {
  const builder = makeBuilder(place);
  const dsc = prepare(place);
  const service = await startService(place);
  const start = performance.now();
  const outcomes = await buildAll(place, builder, dsc);
  const seconds = Math.round((performance.now() - start) / 1000);
  const left = sessions(place);
  // Who was killed outright couldn't end its session: it is whole, and can be ended.
  if (left.length > 0) run([...builder.as, linkSchroot(place), "-e", "--all-sessions"]);
  service.kill();
  report(outcomes, seconds, left, remains(place));
});

/** A small package, a chroot for each union, and our own program in schroot's place. @returns the source package */
function prepare(place: Place): string {
  const sources = join(place.base, "sources");
  mkdirSync(sources);
  const program = `for i in $(seq 40); do echo "int f$i(void) { return $i; }" >f$i.c; gcc -O2 -c f$i.c; done; sleep 1`;
  const dsc = sourcePackage(sources, { name: "small", build: program });
  const keys = [`directory=${debianRoot("buildd", "buildd")}`, "type=directory", "profile=sbuild"];
  const access = ["groups=sbuild", "root-groups=sbuild"];
  // Both unions, in turn.
  for (const union of ["overlay", "fallthru"]) {
    const lines = [`[${union}]`, ...keys, `union-type=${union}`, ...access];
    writeFileSync(`/etc/schroot/chroot.d/${union}.conf`, `${lines.join("\n")}\n`);
  }
  const shared = join(place.base, "builds");
  mkdirSync(shared);
  chmodSync(shared, 0o1777);
  run(["mount", "--bind", shared, "/var/lib/sbuild/build"]);
  // sbuild looks for it there, whatever PATH says.
  const wrapper = join(place.base, "schroot");
  writeFileSync(wrapper, `#!/bin/sh\nexec ${linkSchroot(place)} "$@"\n`, { mode: 0o755 });
  run(["mount", "--bind", wrapper, "/usr/bin/schroot"]);
  return dsc;
}

async function buildAll(place: Place, builder: Builder, dsc: string): Promise<Outcome[]> {
  const random = randomNumbers(seed);
  const deaths = Array.from({ length: builds }, () => (random() * killOneIn < 1 ? chooseDeath(random) : undefined));
  const outcomes: Outcome[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < builds; index = next++) {
      const outcome = await build(place, builder, dsc, index, deaths[index]);
      outcomes.push(outcome);
      console.error(`${index}: ${outcome.kind}${outcome.kind === "failed" ? ` ${outcome.why}` : ""}`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return outcomes;
}

async function build(place: Place, { as }: Builder, dsc: string, index: number, death?: Death): Promise<Outcome> {
  const directory = join(place.base, `build-${index}`);
  mkdirSync(directory);
  chmodSync(directory, 0o777);
  const log = join(directory, "log");
  const output = openSync(log, "w");
  const options = ["--dist=test", "--no-run-lintian", "--no-apt-upgrade", "--no-apt-distupgrade"];
  const words = [...as, "sbuild", `--chroot=${index % 2 === 0 ? "overlay" : "fallthru"}`, ...options, dsc];
  const child = spawn(words[0] ?? "", words.slice(1), {
    cwd: directory,
    detached: true,
    stdio: ["ignore", output, output],
  });
  let isKilled = false;
  const die = (): void => {
    if (death !== undefined) isKilled = kill(child, death);
  };
  const timer = setTimeout(die, death?.afterMs ?? 2 ** 31 - 1);
  const status = await new Promise<number | null>((done) => child.on("close", done));
  clearTimeout(timer);
  if (existsSync(join(directory, "small_1_all.deb"))) return { kind: "built" };
  if (death !== undefined && isKilled) return { kind: "killed", death };
  return { kind: "failed", why: `status ${String(status)}: ${readFileSync(log, "utf8").slice(-600)}` };
}

function kill({ pid }: ChildProcess, { signal, whom }: Death): boolean {
  return pid !== undefined && process.kill(whom === "sbuild" ? pid : -pid, signal);
}

function chooseDeath(random: () => number): Death {
  const pick = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)] as T;
  return { signal: pick(signals), afterMs: random() * lastMomentMs, whom: pick(["sbuild", "its group"] as const) };
}

/** Numbers from 0 to 1, the same for the same seed. */
function randomNumbers(from: number): () => number {
  let state = from;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function sessions({ fallthru }: Place): string[] {
  const listed = JSON.parse(run([fallthru, "list", "--json"])) as { sessions: readonly { id: string }[] };
  return listed.sessions.map(({ id }) => id);
}

/** What there is of sessions still, once all are ended: a line each. */
function remains(place: Place): string[] {
  const mounts = readMountInfo().filter(({ mountPoint }) => mountPoint.startsWith("/run/fallthru/"));
  const records = "/var/lib/fallthru/sessions";
  const folders = ["/run/fallthru/mount", records, `${records}/.held`, "/var/lib/schroot/session"];
  return [
    ...sessions(place).map((id) => `session ${id}`),
    ...mounts.map(({ mountPoint }) => `mount ${mountPoint}`),
    ...folders.flatMap((path) =>
      existsSync(path)
        ? readdirSync(path)
            .filter((name) => !name.startsWith("."))
            .map((name) => `${path}/${name}`)
        : [],
    ),
    ...run(["sh", "-c", "ps -U builder -o args= || true"])
      .split("\n")
      .filter((line) => line !== "" && !line.includes("daemon-worker")),
  ];
}

function report(
  outcomes: readonly Outcome[],
  seconds: number,
  whole: readonly string[],
  left: readonly string[],
): void {
  const failures = outcomes.filter((outcome) => outcome.kind === "failed");
  const killed = outcomes.filter((outcome) => outcome.kind === "killed");
  console.log(`${machine()}\n`);
  console.log(`| builds, ${atOnce} at a time (seed ${seed}) | ${outcomes.length} in ${seconds} s |\n|---|---|`);
  console.log(`| built | ${outcomes.filter(({ kind }) => kind === "built").length} |`);
  for (const signal of signals) {
    console.log(`| killed by ${signal} | ${killed.filter(({ death }) => death.signal === signal).length} |`);
  }
  console.log(`| whole sessions of those, ended by \`schroot -e --all-sessions\` | ${whole.length} |`);
  console.log(`| failed without having been killed | ${failures.length} |`);
  console.log(`| left after that | ${left.length === 0 ? "nothing" : left.join(", ")} |`);
  if (failures.length + left.length > 0) process.exitCode = 1;
}
