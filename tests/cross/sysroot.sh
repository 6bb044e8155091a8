#!/bin/sh
# Gives what a Debian of another architecture has to link with, beside the packages of this machine:
#   sysroot.sh DIR ARCH TRIPLET   → DIR/ARCH (unpacked, nothing of it is run), DIR/ARCH.ini for meson
# The program runs under QEMU's user mode with the libraries in there.
set -eu
dir=$1 arch=$2 triplet=$3
packages=libc6-dev,libevent-dev,libmosquitto-dev,libssl-dev,libnanopb-dev,libmicrohttpd-dev,libgnutls28-dev,libjansson-dev,libcrypt-dev,libavahi-client-dev,libcmocka-dev,tzdata
root=$dir/$arch

if [ "$(cat "$dir/$arch.packages" 2>/dev/null)" != "$packages" ]; then
    rm -rf "$root"
    mkdir -p "$dir"
    # the release as it came out is enough to link and test with: one archive less that can fail
    mmdebstrap --quiet --variant=extract --architectures="$arch" --include="$packages" bookworm "$root" \
        "deb $("$(dirname "$0")/../mirror.sh") bookworm main"
    echo "$packages" >"$dir/$arch.packages"
fi

case $arch in
    arm64) family=aarch64 qemu=qemu-aarch64 ;;
    armhf) family=arm qemu=qemu-arm ;;
    *) echo "sysroot.sh: no architecture '$arch'" >&2; exit 2 ;;
esac
cat >"$dir/$arch.ini" <<END
[binaries]
c = ['$triplet-gcc', '--sysroot=$root']
ar = '$triplet-gcc-ar'
strip = '$triplet-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['$qemu', '-L', '$root']

[properties]
sys_root = '$root'
pkg_config_libdir = ['$root/usr/lib/$triplet/pkgconfig', '$root/usr/share/pkgconfig']

[host_machine]
system = 'linux'
cpu_family = '$family'
cpu = '$family'
endian = 'little'
END
