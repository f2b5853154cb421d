// deadline: 200
// `rm -rf --no-preserve-root /` in a login that is a view of the machine, by the person and by root inside.
import { expect, test } from "bun:test";
import { listing, runOnMachine } from "../support/machine.ts";

const inside = `${listing}
  cd /; umask 022
  printf '%s\\n' alice:x:7001:7001::/home/alice:/bin/bash bob:x:7002:7002::/home/bob:/bin/bash >>/etc/passwd
  printf '%s\\n' alice:x:7001: bob:x:7002: >>/etc/group
  for who in alice bob; do mkdir -p /home/$who; echo precious >/home/$who/file; chown -R $who:$who /home/$who; done
  mkdir -p /etc/schroot/chroot.d; touch /etc/schroot/schroot.conf
  printf '%s\\n' '[lab]' type=directory directory=/ login.users=alice,bob login.share=/mnt/ro >/etc/schroot/chroot.d/lab.conf
  /opt/fallthru/fallthru run -- /bin/true # makes /run/fallthru and the like
  /opt/fallthru/fallthru daemon --foreground 2>/dev/null &
  service=$!
  until [ -S /run/fallthrud/socket ]; do sleep 0.02; done
  as() { who=$1; shift; HOME=/home/$who exec setpriv --reuid=$who --regid=$who --clear-groups -- /opt/fallthru/fallthru login -- "$@"; }
  before=$(listing)
  mkfifo /run/fallthru/go
  as bob bash -c 'echo mine >~/file; cat /mnt/ro/file; echo ready; read; cat ~/file; ls -d /bin /etc/passwd /mnt/data/dir/file; id -un' <>/run/fallthru/go >/run/fallthru/bob &
  bob=$!
  until grep -q ready /run/fallthru/bob; do sleep 0.02; done
  as alice bash -c 'rm -rf --no-preserve-root / 2>/dev/null; ls ~; echo >/tmp/wait; exec sleep 1000' &
  alice=$!
  until [ -e /run/fallthru/mount/lab-login-7001/lab-login-7001/tmp/wait ]; do sleep 0.02; done
  /opt/fallthru/fallthru run @lab-login-7001 -- /bin/rm -rf --no-preserve-root / 2>/dev/null || echo status $?
  echo >/run/fallthru/go
  wait $bob || echo bob: $?
  kill $alice; wait $alice || true
  for try in $(seq 200); do [ -z "$(ls /run/fallthru/mount)" ] && break; sleep 0.02; done
  ls /run/fallthru/mount /var/lib/fallthru/sessions
  (as alice cat /home/alice/file)
  cat /run/fallthru/bob
  for try in $(seq 200); do [ -z "$(ls /run/fallthru/mount)" ] && break; sleep 0.02; done
  after=$(listing)
  [ "$before" = "$after" ] && echo same || diff <(echo "$before") <(echo "$after") || true
  kill $service; wait $service || true
`;

test("rm -rf --no-preserve-root / in one login harms neither the machine nor another's login", async () => {
  const { status, stdout, stderr } = await runOnMachine(inside);
  expect([status, stderr]).toEqual([0, ""]);
  expect(stdout.split("\n")).toEqual([
    "status 1",
    "/run/fallthru/mount:",
    "",
    "/var/lib/fallthru/sessions:",
    "precious",
    "frozen",
    "ready",
    "mine",
    "/bin",
    "/etc/passwd",
    "/mnt/data/dir/file",
    "bob",
    "same",
    "",
  ]);
});
