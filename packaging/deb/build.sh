#!/bin/sh
# Builds the Debian packages, without the network.
#   packaging/deb/build.sh source DIR    this checkout as it lies here (what git ignores left out) and the built
#                                        web pages, if there are any → DIR
#   packaging/deb/build.sh bump DIR V    the source in DIR becomes version V
#   packaging/deb/build.sh build DIR     → DIR/../*.deb; the log in DIR/../build.log
set -eu

version_of() { # changelog
    sed -n '1s/.*(\(.*\)).*/\1/p' "$1"
}

make_source() {
    rm -rf "$1"
    mkdir -p "$1"
    git ls-files --cached --others --exclude-standard | while IFS= read -r f; do
        [ ! -f "$f" ] || printf '%s\n' "$f"
    done | tar -cf - -T - | tar -C "$1" -xf -
    [ ! -d web/dist ] || cp -R web/dist "$1/web/"
    cp -R packaging/deb/debian "$1/debian"
}

bump() {
    old=$(version_of "$1/debian/changelog")
    sed -i "1s/($old)/($2)/" "$1/debian/changelog"
    sed -i "s/^#define HX_VERSION \"$old\"/#define HX_VERSION \"$2\"/" "$1/core/include/hx/base.h"
}

build() {
    cd "$1"
    changelog=$(version_of debian/changelog) program=$(sh tests/version.sh)
    [ "$changelog" = "$program" ] ||
        { echo "build.sh: debian/changelog says $changelog, the program $program" >&2; return 1; }
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(dpkg-parsechangelog -S Timestamp)}
    export SOURCE_DATE_EPOCH
    dpkg-buildpackage -b -us -uc >../build.log 2>&1 ||
        { grep -E 'error|dh_|^make' ../build.log | cut -c1-300 | tail -n 20 >&2; return 1; }
}

[ $# -ge 2 ] || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
task=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
cd "$(dirname "$0")/../.."
case $task in
    source) make_source "$dir" ;;
    bump) bump "$dir" "$3" ;;
    build) build "$dir" ;;
    *) echo "build.sh: no task '$task'" >&2; exit 2 ;;
esac
