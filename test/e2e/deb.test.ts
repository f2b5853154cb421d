// deadline: 300
// `npm run deb`: the package takes schroot's place on a machine, here a view of this one, and goes without a trace.
import { execFileSync } from "node:child_process";
import { resolve } from "node:path";
import { beforeAll, expect, test } from "bun:test";
import { fallthru } from "../support/fallthru.ts";

const top = resolve(import.meta.dirname, "../..");
let deb = "";

beforeAll(() => {
  deb = resolve(top, execFileSync("sh", ["tools/deb.sh"], { cwd: top, encoding: "utf8" }).trim());
});

/** Runs a script as the superuser of a view of this machine, where schroot is installed. */
async function inside(script: string): Promise<string[]> {
  const { status, stdout, stderr } = await fallthru(["run", "--quiet", "--", "bash", "-ec", script]);
  expect([status, stderr]).toEqual([0, ""]);
  return stdout.split("\n").slice(0, -1);
}

const install = `export DEBIAN_FRONTEND=noninteractive
  dpkg -i --force-confold --force-unsafe-io "$DEB" >/tmp/log 2>&1 || { tail /tmp/log >&2; exit 1; }`;
// schroot.conf isn't what schroot came with: the harness lays one of its own.
const withDeb = (script: string): string => `DEB='${deb}'; ${install}; ${script}`;

test("the package replaces schroot and stands for it", async () => {
  const lines = await inside(
    withDeb(`
      dpkg-query -W -f '\${db:Status-Status} \${Provides}\\n' fallthru | sed 's/[0-9][^)]*/N/g'
      dpkg-query -W -f '\${db:Status-Status}\\n' schroot
      readlink -f "$(command -v schroot)" "$(command -v fallthru)"
      schroot --version | head -n 1
      fallthru --version
      apt-get -q check 2>&1 | grep -c '^E:' || true
      dpkg --verify fallthru | grep /usr/lib || true
      stat -c '%A %U %n' /usr/lib/fallthru/*
    `),
  );
  expect(lines.slice(0, 4)).toEqual([
    "installed schroot (= N), schroot-common (= N)",
    "config-files",
    "/usr/lib/fallthru/fallthru",
    "/usr/lib/fallthru/fallthru",
  ]);
  expect(lines[4]).toStartWith("schroot (Debian sbuild) 1.6.13");
  expect(lines[5]).toStartWith("fallthru ");
  expect(lines.slice(6)).toEqual([
    "0",
    "-rwxr-xr-x root /usr/lib/fallthru/fallthru",
    "-rw-r--r-- root /usr/lib/fallthru/koffi.node",
  ]);
});

test("its programs work from where they are installed", async () => {
  const lines = await inside(
    withDeb(`
      fallthru list --json | tr -d ' \\n'; echo
      ls /usr/share/man/man1/fallthru-run.1.gz /usr/share/bash-completion/completions/fallthru
      cd /lib/systemd/system; ls fallthru*
      cd /etc/schroot; ls -d buildd chroot.d default desktop minimal sbuild schroot.conf setup.d | tr '\\n' ' '; echo
      mkdir /tmp/lower /tmp/union; touch /tmp/lower/file
      mount -t fallthru -o lowerdir=/tmp/lower fallthru /tmp/union; ls /tmp/union; umount /tmp/union
    `),
  );
  expect(lines[0]).toBe(`{"sessions":[]}`);
  expect(lines.slice(1)).toEqual([
    "/usr/share/bash-completion/completions/fallthru",
    "/usr/share/man/man1/fallthru-run.1.gz",
    "fallthru.service",
    "fallthrud.service",
    "fallthrud.socket",
    "buildd chroot.d default desktop minimal sbuild schroot.conf setup.d ",
    "file",
  ]);
});

test("it isn't removed while sessions are open, and leaves nothing once they are ended", async () => {
  const lines = await inside(
    withDeb(`
      fallthru begin --name open; dpkg --force-depends -r fallthru 2>&1 | grep -o 'sessions are open.*' | head -n 1; fallthru end open
      dpkg --force-depends -P fallthru >/dev/null 2>&1
      ls -d /usr/lib/fallthru /usr/bin/schroot /sbin/mount.fallthru /sbin/mount.fuse.fallthru /etc/schroot/default 2>/dev/null | wc -l
    `),
  );
  expect(lines).toEqual(["open", "sessions are open; end them first: fallthru end --all", "ended open", "0"]);
});

test("its units are enabled also where no systemd runs, and stay as an administrator leaves them", async () => {
  const lines = await inside(
    withDeb(`
      links() { (cd /etc/systemd/system; ls -d *.wants/fallthru* | tr '\\n' ' '; echo); }
      links; rm /etc/systemd/system/*.wants/fallthrud.socket
      dpkg -i --force-confold --force-unsafe-io "$DEB" >/tmp/log 2>&1; links
      dpkg --force-depends -P fallthru >/dev/null 2>&1; links 2>/dev/null
    `),
  );
  expect(lines).toEqual([
    "multi-user.target.wants/fallthru.service sockets.target.wants/fallthrud.socket ",
    "multi-user.target.wants/fallthru.service ",
    "",
  ]);
});

test("desktops: enable finds its Xsession, which gives others their usual one; nobody is left without a way in", async () => {
  const lines = await inside(
    withDeb(`
      useradd --create-home --shell /bin/bash guest; useradd --create-home --shell /bin/bash other
      mkdir -p /etc/lightdm /tmp/root; printf '[lab]\\ntype=directory\\ndirectory=/tmp/root\\n' >/etc/schroot/chroot.d/lab.conf
      fallthru login enable --user guest --chroot lab --display-manager lightdm --yes >/dev/null
      cat /etc/lightdm/lightdm.conf.d/50-fallthru.conf; stat -c %a /usr/share/fallthru/Xsession
      getent passwd guest | cut -d: -f7
      printf '#!/bin/sh\\necho usual "$@"\\n' >/etc/X11/Xsession; chmod +x /etc/X11/Xsession
      setpriv --reuid=other --regid=other --init-groups -- /usr/share/fallthru/Xsession startx
      dpkg --force-depends -r fallthru 2>&1 | grep '^fallthru: '
      fallthru login disable --user guest --yes >/dev/null; ls /etc/lightdm/lightdm.conf.d; getent passwd guest | cut -d: -f7
      sed -i s/^Include.*// /etc/ssh/sshd_config; echo 'ForceCommand /usr/bin/fallthru login' >>/etc/ssh/sshd_config
      dpkg --force-depends -r fallthru 2>&1 | grep -c '^fallthru: .*/etc/ssh/sshd_config$'
      sed -i '$ d' /etc/ssh/sshd_config
      dpkg --force-depends -r fallthru >/dev/null 2>&1; ls /usr/share/fallthru 2>/dev/null | wc -l
    `),
  );
  expect(lines).toEqual([
    "[Seat:*]",
    "session-wrapper=/usr/share/fallthru/Xsession",
    "755",
    "/usr/bin/fallthru-login",
    "usual startx",
    "fallthru: without it these could not log in any more: guest ",
    "fallthru: give them their shells back first: fallthru login disable --user NAME, or --group NAME",
    "/bin/bash",
    "1",
    "0",
  ]);
});
