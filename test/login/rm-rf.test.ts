// deadline: 200
// `kill -9 -1; rm -rf --no-preserve-root /` in a login that is a view of the machine, by root inside.
import { expect, test } from "bun:test";
import { listing, runOnMachine } from "../support/machine.ts";

const inside = `${listing}
  cd /; umask 022
  printf '%s\\n' alice:x:7001:7001::/home/alice:/bin/bash bob:x:7002:7002::/home/bob:/bin/bash >>/etc/passwd
  printf '%s\\n' alice:x:7001: bob:x:7002: >>/etc/group
  for who in alice bob; do mkdir -p /home/$who; echo precious >/home/$who/file; chown -R $who:$who /home/$who; done
  mkdir -p /etc/schroot/chroot.d; touch /etc/schroot/schroot.conf
  printf '%s\\n' '[lab]' type=directory directory=/ login.users=alice,bob login.share=/mnt/ro login.sudo=yes >/etc/schroot/chroot.d/lab.conf
  cp /bin/bash /bin/rootshell; chmod 4755 /bin/rootshell # Debian's smallest has no sudo.
  /opt/fallthru/fallthru run -- /bin/true # makes /run/fallthru and the like
  /opt/fallthru/fallthru daemon --foreground 2>/dev/null &
  service=$!
  until [ -S /run/fallthrud/socket ]; do sleep 0.02; done
  as() { who=$1; shift; HOME=/home/$who exec setpriv --reuid=$who --regid=$who --clear-groups -- /opt/fallthru/fallthru login -- "$@"; }
  before=$(listing)
  mkfifo /run/fallthru/go /run/fallthru/never
  as bob bash -c 'echo mine >~/file; cat /mnt/ro/file; echo ready; read; cat ~/file; ls -d /bin /etc/passwd /mnt/data/dir/file; id -un' <>/run/fallthru/go >/run/fallthru/bob &
  bob=$!
  until grep -q ready /run/fallthru/bob; do sleep 0.02; done
  as alice rootshell -p -c 'kill -9 -1 2>/dev/null; rm -rf --no-preserve-root / 2>/dev/null; echo >/tmp/wait; read' <>/run/fallthru/never &
  alice=$!
  until [ -e /run/fallthru/mount/lab-login-7001/lab-login-7001/tmp/wait ]; do sleep 0.02; done
  [ -e /run/fallthru/mount/lab-login-7001/lab-login-7001/usr/bin/rm ] || echo gone
  echo >/run/fallthru/go
  wait $bob || echo bob: $?
  kill $alice; wait $alice || true
  for try in $(seq 200); do [ -z "$(ls /run/fallthru/mount; ls /var/lib/fallthru/sessions)" ] && break; sleep 0.02; done
  ls /run/fallthru/mount /var/lib/fallthru/sessions
  (as alice cat /home/alice/file)
  cat /run/fallthru/bob
  for try in $(seq 200); do [ -z "$(ls /run/fallthru/mount; ls /var/lib/fallthru/sessions)" ] && break; sleep 0.02; done
  after=$(listing)
  [ "$before" = "$after" ] && echo same || diff <(echo "$before") <(echo "$after") || true
  kill $service; wait $service || true
`;

test("kill -9 -1 and rm -rf --no-preserve-root / in one login harm neither the machine nor another's login", async () => {
  const { status, stdout, stderr } = await runOnMachine(inside);
  expect([status, stderr]).toEqual([0, ""]);
  expect(stdout.split("\n")).toEqual([
    "gone",
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
