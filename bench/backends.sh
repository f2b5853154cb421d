#!/bin/bash
# The first process of a virtual machine (test/support/guest.ts): a session's cycle on LVM snapshots and on an overlay, with
# others open. Prints `cycle KIND OPEN MILLISECONDS`.
exec </dev/null >/dev/console 2>&1
export PATH=/opt:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
for each in "proc /proc" "sysfs /sys" "tmpfs /run" "tmpfs /tmp"; do mount -t ${each% *} none ${each#* }; done
mkdir -p /dev/pts && mount -t devpts none /dev/pts
/lib/systemd/systemd-udevd --daemon >/dev/null 2>&1
udevadm trigger --subsystem-match=block && udevadm settle
modprobe -a overlay dm-snapshot dm-thin-pool
{
  pvcreate -q /dev/vdc; vgcreate -q vg /dev/vdc
  lvcreate -q --size 48M --name classic vg
  lvcreate -q --size 400M --thinpool pool vg
  lvcreate -q --thin --virtualsize 48M --name thin vg/pool
  for name in classic thin; do
    mkfs.ext4 -q /dev/vg/$name; mount /dev/vg/$name /mnt; cp -a /opt/root/. /mnt; umount /mnt
  done
  cp -a /opt/root /srv/root
} >/dev/null
mkdir -p /etc/schroot/chroot.d
describe() { printf '[%s]\n' "$1"; shift; printf '%s\n' "$@" profile=fallthru root-users=root ''; }
{
  describe classic type=lvm-snapshot device=/dev/vg/classic 'lvm-snapshot-options=--size 8M'
  describe thin type=lvm-snapshot device=/dev/vg/thin
  describe overlay type=directory directory=/srv/root union-type=overlay
} >/etc/schroot/chroot.d/all.conf

cycle() {
  local start; start=$(date +%s%N)
  fallthru begin "$1" --name s >/dev/null && fallthru run @s -- sh -c 'echo x > /etc/x' && fallthru end s >/dev/null || echo failed
  echo "cycle $1 $2 $((($(date +%s%N) - start) / 1000000))"
}
for kind in overlay thin classic; do cycle $kind 0 >/dev/null; done
open=0
for count in 0 10 25; do
  while [ $open -lt $count ]; do
    open=$((open + 1))
    for kind in overlay thin classic; do fallthru begin $kind --name $kind$open >/dev/null || echo "failed $kind $open"; done
  done
  for round in 1 2 3; do for kind in overlay thin classic; do cycle $kind $count; done; done
done
echo o >/proc/sysrq-trigger
sleep 60
