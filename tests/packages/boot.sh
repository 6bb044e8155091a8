#!/bin/sh
# Becomes the first process of a small Debian in namespaces of its own: boot.sh ROOT CGROUP
# Called in a new mount, pid, net, uts and ipc namespace; CGROUP is an empty cgroup-v2 folder.
set -eu
root=$1 cgroup=$2
mount --make-rprivate /
# a cgroup namespace that begins at CGROUP: systemd finds an empty tree of its own
if [ $# -eq 2 ]; then
    echo 0 >"$cgroup/cgroup.procs"
    exec unshare --cgroup "$0" "$root" "$cgroup" inside
fi
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
# read-only /sys is what tells systemd that it is in a container
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for d in null zero full random urandom tty; do
    touch "$root/dev/$d"
    mount --bind "/dev/$d" "$root/dev/$d"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
ip link set lo up
# the box's Ethernet port, and the other end of its cable
ip link add eth0 type veth peer name cable
ip link set cable up
ip addr add 192.168.1.10/24 dev cable
# the machine outside is out of reach from here on
cd "$root"
pivot_root . mnt
cd /
umount --lazy /mnt
# mounts that a helper of systemd makes have to be seen by the others: a container's start does this
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal
