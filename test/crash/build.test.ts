// deadline: 300
// Builds of Debian's sbuild that are killed half-way: nothing is left of them.
import { beforeAll, expect, test } from "bun:test";
import { buildersDirectory, withBuilder } from "../support/builders.ts";
import { debianRoot } from "../support/roots.ts";
import { sourcePackage } from "../support/sources.ts";

let root = "";

beforeAll(async () => {
  root = await debianRoot({ variant: "buildd" });
});

/** Nobody else's sleep is as long. */
const seconds = 86_400 + process.pid;

/**
 * Four builds at once, each in a chroot of its signal's name: when all of them sleep, sbuild gets its signal; a terminal's
 * go to the whole process group.
 */
const script = `
  sleeping() { pgrep -cfx 'sleep ${seconds}'; }
  # patiently NUMBER: until as many builds sleep.
  patiently() { for try in $(seq 600); do [ $(sleeping) != $1 ] || return 0; sleep 0.1; done; for log in */log; do tail -n 20 $log >&2; done; exit 1; }
  start() {
    describe builds-$1 $ROOT overlay; mkdir $1; chown builder: $1
    cd $1
    as_builder setsid sbuild --chroot=builds-$1 --dist=bookworm --no-run-lintian --no-apt-upgrade --no-apt-distupgrade "$DSC" >log 2>&1 &
    cd ..
  }
  start TERM; term=$!
  start KILL; kill=$!
  start INT; int=$!
  start HUP; hup=$!
  patiently 4
  kill -s TERM $term; kill -s KILL $kill; kill -s INT -- -$int; kill -s HUP -- -$hup
  for name in TERM KILL INT HUP; do
    pid=$(eval echo \\$$(echo $name | tr A-Z a-z))
    status=0; wait $pid || status=$?
    echo "$name $status"
  done
  patiently 0
  for try in $(seq 100); do [ "$(schroot -l --all-sessions)" ] || break; sleep 0.1; done
  schroot -l --all-sessions
  fallthru list --json | tr -d ' \\n'`;

test("a build that a signal has ended leaves nothing, without any further command", async () => {
  const out = buildersDirectory("out");
  const dsc = sourcePackage(out, { name: "sleeper", build: `exec sleep ${seconds}` });
  const { status, stdout, stderr } = await withBuilder(out, script, { ROOT: root, DSC: dsc });
  const statuses = ["TERM 2", "KILL 137", "INT 2", "HUP 129"];
  const lines = [...statuses, '{"sessions":[]}'];
  expect([status, stdout.split("\n"), stderr]).toEqual([0, lines, ""]);
});
