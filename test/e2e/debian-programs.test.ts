// deadline: 600
// Debian's own programs that call schroot, with ours in its place.
import { beforeAll, expect, test } from "bun:test";
import { buildersDirectory, withBuilder } from "../support/builders.ts";
import { debianRoot } from "../support/roots.ts";
import { binaryPackage, sourcePackage, sourceTree } from "../support/sources.ts";

let root = "";

beforeAll(async () => {
  root = await debianRoot({ variant: "buildd" });
});

/** Runs a script; afterwards no session is there. @returns the lines that it printed */
async function ask(script: string, out = buildersDirectory("out")): Promise<string[]> {
  const whole = `${quietly}${script}\nfallthru list --json | tr -d ' \\n'`;
  const { status, stdout, stderr } = await withBuilder(out, whole, { ROOT: root });
  const lines = stdout.split("\n");
  expect([status, lines.at(-1), status === 0 ? "" : `${stdout}${stderr}`]).toEqual([0, '{"sessions":[]}', ""]);
  return lines.slice(0, -1);
}

/** What a program says is shown where it fails. */
const quietly = `quietly() { "$@" >log 2>&1 || { status=$?; cat log; return $status; }; }\n`;

test("piuparts installs and purges a package in a session, into which it writes from outside", async () => {
  const out = buildersDirectory("out");
  const deb = binaryPackage(out, "small");
  // What the machine mounts meanwhile shows up in /sys.
  const said = await ask(
    `describe builds $ROOT overlay
    quietly piuparts --schroot builds --distribution bookworm --no-upgrade-test --ignore-regex='^/sys/.*' ${deb}
    grep -o 'New schroot session in.*mount/builds-\\|PASS: .*' log`,
    out,
  );
  expect(said).toEqual([
    "New schroot session in '/run/fallthru/mount/builds-",
    "PASS: Installation and purging test.",
    "PASS: All tests.",
  ]);
});

test("autopkgtest puts a package to the test, for a user", async () => {
  const out = buildersDirectory("out");
  const deb = binaryPackage(out, "small");
  const tree = sourceTree(out, { name: "small", build: "true", test: "cat /usr/share/doc/small/copyright" });
  const said = await ask(
    `describe builds $ROOT overlay; chown builder: ${deb}
    quietly builder autopkgtest --setup-commands='apt-get update' --no-built-binaries ${deb} ${tree}/ -- schroot builds
    grep -c 'Public domain' log; tail -n 1 log`,
    out,
  );
  expect(said).toEqual(["1", "command1             PASS"]);
});

test("python3-schroot begins a session, reads its file, runs in it and writes into it", async () => {
  const script = `
from schroot import schroot
with schroot("builds") as chroot:
    config = chroot.get_session_config()
    print(config["original-name"], config["directory"], config["mount-location"] == chroot.location)
    print(chroot.check_output(["id", "-un"], user="root").decode(), end="")
    with chroot.create_file("/etc/made", user="root") as file: file.write(b"content")
    print(chroot.run(["cat", "/etc/made"], user="root")[0])`;
  const said = await ask(`describe builds $ROOT overlay; cd /; builder /usr/bin/python3 -c '${script}'`);
  expect(said).toEqual([`builds ${root} True`, "root", "content"]);
});

test("sbuild's smaller programs read a chroot and change it", async () => {
  const said = await ask(`
    describe builds $(copy_of $ROOT) overlay
    builder sbuild-hold builds tar | grep '^.i'
    builder sbuild-unhold builds tar | grep '^.i'
    echo 'pwd; echo $SCHROOT_CHROOT_NAME $SCHROOT_SESSION_ID' | builder sbuild-shell builds | sed 's/builds-.*/ID/'
    quietly builder sbuild-checkpackages --set builds
    quietly builder sbuild-checkpackages --list builds
    quietly builder sbuild-update --update --clean builds
    quietly builder sbuild-apt builds apt-get check
    quietly builder sbuild-clean --clean builds
    ls $work/root/var/lib/apt/lists | grep -c InRelease`);
  expect(said.slice(0, 2).map((line) => line.split(/ +/, 2).join(" "))).toEqual(["hi tar", "ii tar"]);
  expect(said.slice(2)).toEqual(["I: /bin/sh", "/", "builds ID", "3"]);
});

/** `fake`: programs that take another's place; this one gives a root at once, where debootstrap takes minutes. */
const debootstrap = `
  mkdir fake upper workdir
  cat >fake/debootstrap <<EOS
#!/bin/sh
for word; do case \\$word in /*/bookworm*) exec mount -t overlay -o lowerdir=$ROOT,upperdir=$PWD/upper,workdir=$PWD/workdir overlay "\\$word"; esac; done
EOS
  chmod 755 fake/*`;

test("a chroot that sbuild-createchroot has described is used, and found by sbuild-destroychroot", async () => {
  // Whether it describes a union is up to whether modprobe(8) finds the module.
  const said = await ask(`${debootstrap}
    mkdir etc-sbuild; cp -a /etc/sbuild/. etc-sbuild; mount --bind etc-sbuild /etc/sbuild
    quietly sbuild-createchroot --debootstrap=$PWD/fake/debootstrap bookworm $PWD/bookworm http://deb.debian.org/debian
    sed -i s/union-type=none/union-type=overlay/ /etc/schroot/chroot.d/*
    schroot -l
    builder schroot -d / -c bookworm-amd64-sbuild -u root -- grep -c ^deb-src /etc/apt/sources.list
    yes | quietly sbuild-destroychroot --chroot-suffix=-sbuild bookworm
    grep '/etc/schroot/chroot.d' log`);
  expect(said.slice(0, 3)).toEqual(["chroot:bookworm-amd64-sbuild", "source:bookworm-amd64-sbuild", "1"]);
  expect(said.slice(3).join("\n")).toContain("/etc/schroot/chroot.d/bookworm-amd64-sbuild-");
});

test("mk-sbuild describes a chroot, and finishes it in a session of its source", async () => {
  const said = await ask(`${debootstrap}
    mkdir chroots; mount --bind chroots /var/lib/schroot
    printf '#!/bin/sh\\nexec "$@"\\n' >fake/sudo
    # What is installed is Debian's affair; that it is asked for inside is ours.
    mkdir -p upper/usr/bin; printf '#!/bin/sh\\necho "$SCHROOT_CHROOT_NAME: apt-get $*"\\n' >upper/usr/bin/apt-get
    chmod 755 fake/* upper/usr/bin/apt-get
    touch $work/home/.mk-sbuild.rc
    PATH=$PWD/fake:$PATH HOME=$work/home quietly setpriv --groups=0,$(getent group sbuild | cut -d : -f 3) \\
      mk-sbuild --skip-proposed --skip-updates --skip-security --skip-eatmydata bookworm
    grep '^bookworm-amd64: ' log
    schroot -l --exclude-aliases
    builder schroot -d / -c bookworm-amd64 -u root -- find / -maxdepth 1 -name finish.sh`);
  const asked = ["update", "-y --force-yes install gnupg debian-keyring", "update"];
  asked.push("-y --force-yes install --no-install-recommends build-essential fakeroot apt-utils", "clean");
  expect(said).toEqual([
    ...asked.map((words) => `bookworm-amd64: apt-get ${words}`),
    "chroot:bookworm-amd64",
    "source:bookworm-amd64",
  ]);
});

test("buildd's calls: its update of all chroots, and sbuild as it calls it", async () => {
  const out = buildersDirectory("out");
  const dsc = sourcePackage(out, { name: "small", build: "true" });
  const fetch = "apt-get -q update; apt-get -q download buildd; mv buildd_*.deb /buildd.deb";
  const said = await ask(
    `describe builds $(copy_of $ROOT) none
    quietly schroot -d / -c builds -- sh -ec '${fetch}'
    dpkg-deb -x $work/root/buildd.deb buildd
    mkdir fake
    printf '#!/bin/sh\\nrm $HOME/EXIT-DAEMON-PLEASE\\n' >fake/sleep
    printf '#!/bin/sh\\necho "$PWD: debfoster $*"\\n' >$work/root/usr/bin/debfoster
    chmod 755 fake/sleep $work/root/usr/bin/debfoster
    quietly builder env PATH=$PWD/fake:/usr/bin:/bin sh buildd/usr/bin/buildd-update-chroots
    grep -c '^0 upgraded' log; tail -n 1 log
    quietly builder nice -n 10 sbuild --apt-update --no-apt-upgrade --no-apt-distupgrade --no-run-lintian --batch \\
      --stats-dir=$work/home/stats --dist=bookworm --sbuild-mode=buildd --arch-all --no-arch-any --chroot=builds ${dsc}
    ls *.deb`,
    out,
  );
  expect(said).toEqual(["2", "/root: debfoster -f", "small_1_all.deb"]);
});
