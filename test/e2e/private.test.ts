// Where the machine shares its mounts, as systemd has it, none of a session's comes back to it, with either program.
import { expect, test } from "bun:test";
import { makeTwins, runTwin, type Twin } from "../support/schroot.ts";

const script = `
  mkdir /tmp/bound; mount -t tmpfs none /tmp/bound; mkdir /tmp/bound/theirs /tmp/bound/ours
  mount --make-rshared /
  conf '[x]' type=directory directory=@ union-type=overlay profile=minimal setup.fstab=chroot.d/.fstab
  printf '%s none rw,bind 0 0\\n' '/proc /proc' '/tmp/bound /mnt' > /etc/schroot/chroot.d/.fstab
  schroot -b -c x -n s
  for place in /mnt/theirs /var; do schroot -r -c s -d / -- mount -t tmpfs theirs $place; done
  mount -t tmpfs ours /tmp/bound/ours
  echo inside; schroot -r -c s -d / -- cut -d ' ' -f 1 /proc/mounts | grep -e theirs -e ours
  echo outside; grep -e theirs -e ours /proc/self/mounts | cut -d ' ' -f 1,2 | grep -v /mount/s
  schroot -e -c s
  echo after; grep -e theirs -e ours /proc/self/mounts | cut -d ' ' -f 1,2`;

test.each(["schroot", "fallthru"] satisfies Twin[])("by %s", async (twin) => {
  const [said] = await runTwin(makeTwins(), twin, [script]);
  const ours = "ours /tmp/bound/ours";
  const lines = ["s", "inside", "theirs", "theirs", "outside", ours, "after", ours];
  expect(said).toEqual({ status: 0, stdout: `${lines.join("\n")}\n`, stderr: "" });
});
