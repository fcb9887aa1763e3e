#!/bin/sh
# A machine of its own that starts the one unit docs/bridge.service: a pid, mount, cgroup, ipc and uts namespace whose root is this
# machine's, under a layer that is thrown away, and whose PID 1 is systemd. The network is this machine's.
#   boot.sh FOLDER CGROUP FILES     FILES/usr/local/bin/bridge and whatever else is laid over the root; needs root
set -eu
mkdir -p "$2"
echo $$ >"$2/cgroup.procs"
exec unshare --mount --pid --cgroup --ipc --uts --fork --kill-child sh -c '
set -eu
root=$1/root
mount --make-rprivate /
mount -t tmpfs -o mode=755,size=128m tmpfs "$1"
mkdir "$1/upper" "$1/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$root"
cp -r --preserve=mode "$2/." "$root/"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys" # systemd-sysctl should change nothing here
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty "$root/dev/"
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
cd "$root"
pivot_root . mnt
umount -l /mnt
mount --make-rshared / # in a container systemd leaves that to who starts it; credentials need it
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=bridge.service --log-target=console --show-status=no
' sh "$1" "$3"
