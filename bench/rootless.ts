// `run CHROOT -- true` by somebody who isn't root, against the same by hand with unshare(1), and podman where it is
// installed: node_modules/.bin/bun bench/rootless.ts [--rounds=N] [--root=DIR]
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { someone } from "../test/support/someone.ts";
import { machine, numberOption, repeat, type Row, run, type Series, table } from "./measure.ts";
import { inPrivatePlace } from "./place.ts";
import { debianRoot } from "./roots.ts";

/** A session by hand: name spaces with all subordinate ids, layers, an overlay, what is mounted in it, and all of it gone again. */
const byHand = `d=$(mktemp -d "$HOME/hand.XXXXXX") && mkdir $d/upper $d/work $d/root &&
mount -t overlay -o "userxattr,lowerdir=$1,upperdir=$d/upper,workdir=$d/work" overlay $d/root &&
mount --rbind /proc $d/root/proc && mount --rbind /sys $d/root/sys && mount --rbind /dev $d/root/dev &&
mount -t tmpfs tmpfs $d/root/dev/shm && cp /etc/resolv.conf /etc/hosts $d/root/etc/ &&
chroot $d/root true; status=$?; umount -l $d/root; rm -rf $d; exit $status`;

const rounds = numberOption("rounds", 25);
const source = debianRoot("minbase", "minbase");

await inPrivatePlace(({ base, fallthru }) => {
  process.env["TMPDIR"] = base;
  const anna = someone();
  const environment = ["env", "-i", `HOME=${anna.home}`, "PATH=/usr/bin:/bin:/usr/sbin:/sbin"];
  const asAnna = (...command: string[]) => run([...anna.words, ...environment, ...command]);
  // A root whose files are hers and her subordinate ids', as an import makes it.
  const archive = join(base, "root.tar");
  execFileSync("tar", ["--create", "--xattrs", "--exclude=./dev/*", `--file=${archive}`, `--directory=${source}`, "."]);
  asAnna(fallthru, "chroot", "import", "debian", archive, "--quiet");
  const root = join(anna.home, ".local/share/fallthru/chroots/debian");
  const unshare = [
    "unshare",
    "--user",
    "--map-root-user",
    "--map-auto",
    "--mount",
    "--",
    "sh",
    "-c",
    byHand,
    "sh",
    root,
  ];
  const whole = [fallthru, "run", "debian", "--", "true"];
  measure(
    {
      whole: () => asAnna(...whole),
      begin: () => asAnna(fallthru, "begin", "debian", "--name", "open"),
      inside: () => asAnna(fallthru, "run", "@open", "--", "true"),
      end: () => asAnna(fallthru, "end", "open"),
      byHand: () => asAnna(...unshare),
    },
    podmanOn(root, asAnna),
  );
});

type Act = () => string;

function measure(
  acts: Readonly<Record<"whole" | "begin" | "inside" | "end" | "byHand", Act>>,
  podman: Act | undefined,
): void {
  const clock = repeat(rounds, (clock) => {
    clock.time("alone", acts.whole);
    clock.time("by hand", acts.byHand);
    if (podman !== undefined) clock.time("podman", podman);
  });
  acts.begin();
  const open = repeat(rounds, (clock) => {
    clock.time("beside", acts.whole);
    clock.time("in it", acts.inside);
    clock.time("by hand", acts.byHand);
  });
  acts.end();
  const against = (what: string, ours: Series, theirs: Series): Row => ({
    what,
    ours,
    theirs,
    ratio: "slower",
    wanted: 2,
  });
  const rows = [
    against("`run CHROOT -- true`, no session open", clock.get("alone"), clock.get("by hand")),
    against("`run CHROOT -- true`, a session open", open.get("beside"), open.get("by hand")),
    against("`run @S -- true`", open.get("in it"), open.get("by hand")),
  ];
  console.log(`${machine()}\n\n${table("fallthru", "by hand", rows)}`);
  if (podman === undefined) return;
  const row: Row = {
    what: "`run CHROOT -- true`",
    ours: clock.get("alone"),
    theirs: clock.get("podman"),
    ratio: "faster",
  };
  console.log(`\n${table("fallthru", "podman run --rm --rootfs DIR:O", [row])}`);
}

/** podman(1) on the same root, if it can be had here. */
function podmanOn(root: string, asAnna: (...command: string[]) => string): Act | undefined {
  if (!existsSync("/usr/bin/podman")) return undefined;
  const words = ["--rm", "--network=host", "--cgroups=disabled", "--rootfs", `${root}:O`, "true"];
  return () => asAnna("podman", "run", ...words);
}
