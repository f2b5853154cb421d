import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { temporaryDirectory } from "./directories.ts";
import { executable, run } from "./fallthru.ts";
import { tinyRoot } from "./roots.ts";

/** What a line of shell said and how it ended. */
export interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The two who are compared. */
export type Twin = "schroot" | "fallthru";

/** The chroots of docs/schroot.md; ROOT is a root of the twin's own. */
const config = `[default]
type=plain
directory=ROOT
[plain]
type=plain
directory=ROOT
description=A plain one
users=alice
aliases=pl
[dir]
type=directory
directory=ROOT
groups=root
profile=minimal
[ov]
type=directory
description=An overlay
directory=ROOT
union-type=overlay
groups=root,builders
root-groups=root,builders
source-users=carol
profile=minimal
aliases=ova
user-modifiable-keys=debian.release
root-modifiable-keys=debian.root
debian.release=bookworm
[pre]
type=directory
directory=ROOT
union-type=overlay
profile=minimal
users=alice,bob
root-users=alice
groups=carol
command-prefix=env,-u,FOO
personality=linux32
preserve-environment=true
shell=/bin/ash
message-verbosity=quiet
environment-filter=^(A|LD_.*)$
source-root-groups=builders
vendor.key=a value
description=Another one
description[fr]=Un autre
`;

const accounts = ["alice", "bob", "carol"].map((name, index) => ({ name, id: 4001 + index }));

/** A directory with what both twins are given. */
export function makeTwins(): string {
  const base = temporaryDirectory("twins");
  const root = tinyRoot();
  for (const { name, id } of accounts) {
    append(join(root, "etc/passwd"), `${name}:x:${id}:${id}::/home/${name}:/bin/sh\n`);
    append(join(root, "etc/group"), `${name}:x:${id}:\n`);
  }
  for (const twin of ["schroot", "fallthru"])
    cpSync(root, join(base, twin), { recursive: true, verbatimSymlinks: true });
  mkdirSync(join(base, "root"));
  mkdirSync(join(base, "bin"));
  mkdirSync(join(base, "tools"));
  writeFileSync(join(base, "tools/as"), asSomebody, { mode: 0o755 });
  writeFileSync(join(base, "tools/conf"), writeConf.replaceAll("ROOT", join(base, "root")), { mode: 0o755 });
  mkdirSync(join(base, "lib"));
  mkdirSync(join(base, "program"));
  symlinkSync(programOf(base), join(base, "bin/schroot"));
  for (const name of ["schroot-mount", "schroot-listmounts"]) symlinkSync(programOf(base), join(base, "lib", name));
  writeFileSync(join(base, "schroot.conf"), config.replaceAll("ROOT", join(base, "root")));
  const hostFile = (name: string, lines: readonly string[]) =>
    writeFileSync(join(base, name), `${readFileSync(`/etc/${name}`, "utf8")}${lines.join("\n")}\n`, { mode: 0o640 });
  hostFile(
    "passwd",
    accounts.map(({ name, id }) => `${name}:x:${id}:${id}::/home/${name}:/bin/sh`),
  );
  hostFile(
    "shadow",
    accounts.map(({ name }) => `${name}:*:19000:0:99999:7:::`),
  );
  hostFile("group", [...accounts.map(({ name, id }) => `${name}:x:${id}:`), "builders:x:4100:alice"]);
  return base;
}

/** Ours, where it can be found also when it has been built below /tmp, which is another one for the twins. */
function programOf(base: string): string {
  return join(base, "program", basename(executable));
}

/** `as USER COMMAND...`, from a terminal's point of view a login of theirs. */
const asSomebody = `#!/bin/sh
user=$1; shift
exec setpriv --reuid "$user" --regid "$user" --init-groups -- "$@"
`;

/** `conf LINE...` makes these, printf(1)'s escapes and all, the lines of chroot.d/bad; without any it clears chroot.d. */
const writeConf = `#!/bin/sh
test $# -gt 0 || exec rm -rf /etc/schroot/chroot.d/*
for line; do printf "$line\\n"; done | sed s,@,ROOT,g > /etc/schroot/chroot.d/bad
`;

function append(path: string, text: string): void {
  writeFileSync(path, text, { flag: "a" });
}

/** Its own state and mounts: what one does the other doesn't see. */
const surroundings = `
  mount --bind $BASE/$TWIN $BASE/root
  mount --bind $BASE/schroot.conf /etc/schroot/schroot.conf
  for file in passwd shadow group; do mount --bind $BASE/$file /etc/$file; done
  chmod 644 /etc/passwd /etc/group
  mount -t tmpfs none /var/lib/schroot
  mkdir -p /var/lib/schroot/session /var/lib/schroot/union/overlay /var/lib/schroot/union/underlay
  mkdir -p /run/schroot; mount -t tmpfs none /run/schroot; mkdir /run/schroot/mount
  mount --bind $BUILD $BASE/program; mount -t tmpfs none /tmp
  mount -t tmpfs -o mode=755 none /etc/schroot/chroot.d
  mkdir -p /run/fallthrud; mount -t tmpfs -o mode=755 none /run/fallthrud
  libexec=$(echo /usr/lib/*/schroot); if [ $TWIN = fallthru ]; then mount --bind $BASE/lib $libexec; fi
  mkdir /tmp/libexec; mount --bind $libexec /tmp/libexec
  cd /
  chmod 755 $BASE
  if [ "$SERVICE" = fallthru ]; then
    $FALLTHRU_PROGRAM daemon --foreground < /dev/null > $OUT/service 2>&1 & service=$!
    until [ -S /run/fallthrud/socket ]; do kill -0 $service; sleep 0.02; done
  fi
`;

/**
 * Runs lines of shell, one after the other, where `schroot` is one of the twins; $SCHROOT is always the real one, and
 * $FALLTHRU ours.
 */
export async function runTwin(
  base: string,
  twin: Twin,
  lines: readonly string[],
  { service = false }: { readonly service?: boolean } = {},
): Promise<Said[]> {
  const out = temporaryDirectory("said");
  for (const [index, line] of lines.entries()) writeFileSync(join(out, `${index}.sh`), line);
  const loop = `${surroundings}
    index=0; while [ $index -lt ${lines.length} ]; do
      status=0; sh $OUT/$index.sh < /dev/null > $OUT/$index.out 2> $OUT/$index.err || status=$?
      echo $status > $OUT/$index.status
      index=$((index + 1))
    done
    if [ -n "$service" ]; then kill $service; wait $service || true; fi`;
  const path = `${twin === "fallthru" ? `${join(base, "bin")}:` : ""}${join(base, "tools")}:/usr/sbin:/usr/bin:/sbin:/bin`;
  const env = { PATH: path, HOME: "/root", TERM: "xterm", BASE: base, TWIN: twin, OUT: out, LANG: "C.UTF-8" };
  const programs = {
    SCHROOT: "/usr/bin/schroot",
    FALLTHRU: join(base, "bin/schroot"),
    FALLTHRU_PROGRAM: programOf(base),
    BUILD: dirname(executable),
    SERVICE: service ? twin : "none",
  };
  const clean = ["env", "-i", ...Object.entries({ ...env, ...programs }).map(([key, value]) => `${key}=${value}`)];
  const made = await run([...clean, "unshare", "--mount", "--propagation", "private", "sh", "-ec", loop]);
  if (made.status !== 0) throw new Error(`the twin ${twin} ended with ${String(made.status)}: ${made.stderr}`);
  const read = (name: string) => normal(readFileSync(join(out, name), "utf8"));
  return lines.map((_, index) => ({
    status: Number(read(`${index}.status`)),
    stdout: read(`${index}.out`),
    stderr: read(`${index}.err`),
  }));
}

/** What may differ: UUIDs, the day, and where sessions are mounted. */
function normal(text: string): string {
  return text
    .replace(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "UUID")
    .replace(/( on )\d\d \w{3} \d{4}$/gm, "$1DAY")
    .replace(/\/var\/run\/schroot\/mount\/([\w.-]+)/g, "/run/fallthru/mount/$1/$1")
    .replace(/^(?:PWD|OLDPWD|OUT|BASE|TWIN|PATH|SCHROOT|FALLTHRU|FALLTHRU_PROGRAM|BUILD|SERVICE|_)=.*\n/gm, (line) =>
      line.startsWith("PATH=/usr/local") ? line : "",
    );
}
