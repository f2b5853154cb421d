// `rm -rf --no-preserve-root /` in a view of the host's root. The host is a small Debian of its own: nothing of this
// machine can be reached from it, whatever goes wrong.
import { expect, test } from "bun:test";
import { listing, runOnMachine } from "../support/machine.ts";

const inside = `${listing}
  cd /
  /opt/fallthru/fallthru run -- /bin/true # makes /run/fallthru and the like
  before=$(listing)
  /opt/fallthru/fallthru run -- /bin/bash -c 'rm -rf --no-preserve-root / 2>/dev/null; shopt -s dotglob; echo left: /*'
  /opt/fallthru/fallthru run --pid-namespace -- /bin/bash -c 'rm -rf --no-preserve-root / 2>/dev/null; echo status $?'
  /opt/fallthru/fallthru begin host --name kept
  /opt/fallthru/fallthru run @kept -- /bin/rm -rf --no-preserve-root / 2>/dev/null || echo status $?
  /opt/fallthru/fallthru run @kept -- /bin/true 2>&1 || echo status $?
  /opt/fallthru/fallthru end kept
  after=$(listing)
  [ "$before" = "$after" ] && echo same || printf '%s\\n' "$before" "$after"
  cat /mnt/data/dir/file /mnt/ro/file /etc/resolv.conf; ls /dev/shm
`;

test("rm -rf --no-preserve-root / harms nothing", async () => {
  const { status, stdout, stderr } = await runOnMachine(inside);
  expect([status, stderr]).toEqual([0, ""]);
  expect(stdout.split("\n")).toEqual([
    "left: /dev /mnt /proc /run /sys /tmp /var",
    "status 1",
    "kept",
    "status 1",
    "fallthru: run /bin/true: no such file or directory (ENOENT)",
    "status 127",
    "ended kept",
    "same",
    "precious",
    "frozen",
    "resolv",
    "host",
    "",
  ]);
});
