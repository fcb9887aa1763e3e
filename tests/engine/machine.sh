#!/bin/sh
# machine.sh TREE CHECKOUT COMMAND…: in mounts and processes of its own (unshare --mount --pid), makes the folder TREE the root, with
# CHECKOUT in /root/checkout, and runs the command there until it ends or is killed.
set -eu
tree=$1
mount --make-rprivate /
mount --bind "$tree" "$tree"
mount --rbind /sys "$tree/sys"
mount --rbind /dev "$tree/dev"
mount -t proc proc "$tree/proc"
mount -t tmpfs tmpfs "$tree/run"
mkdir -p "$tree/root/checkout"
mount --bind "$2" "$tree/root/checkout"
cd "$tree"
pivot_root . mnt
umount -l /mnt
shift 2
cd /root/checkout
exec "$@"
