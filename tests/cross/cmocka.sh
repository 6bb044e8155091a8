#!/bin/sh
# Builds cmocka for a machine that has no package of it, from the source package of this Debian.
# Usage: cmocka.sh DIR NAME COMPILER [FLAG…]   → DIR/NAME/cmocka.h, DIR/NAME/libcmocka.a
# Nothing is installed and the machine's apt lists stay as they are.
set -eu
dir=$1 name=$2 compiler=$3
shift 3
[ ! -f "$dir/$name/libcmocka.a" ] || exit 0

mirror() { # of this machine, from either form of its apt configuration
    sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1 | grep . ||
        sed -n 's/^deb  *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list | head -n 1
}

fetch() {
    apt=$dir/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/source"
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $codename main" >"$apt/source.list"
    options="-qq -o Dir::Etc::SourceList=$apt/source.list -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::lists=$apt/lists -o Dir::Cache=$apt/cache -o APT::Sandbox::User="
    # shellcheck disable=SC2086 # one word per option
    apt-get $options update
    # shellcheck disable=SC2086
    (cd "$apt/source" && apt-get $options source --download-only cmocka)
    tar -C "$dir" -xf "$(ls "$apt"/source/cmocka_*.orig.tar.?z)"
}

ls -d "$dir"/cmocka-* >/dev/null 2>&1 || fetch
src=$(echo "$dir"/cmocka-*)
mkdir -p "$dir/$name"
cp "$src/include/cmocka.h" "$dir/$name/"
"$compiler" "$@" -O1 -w -DHAVE_SIGNAL_H -DHAVE_STDINT_H -DHAVE_INTTYPES_H -I"$src/include" \
    -c "$src/src/cmocka.c" -o "$dir/$name/cmocka.o"
ar rcs "$dir/$name/libcmocka.a" "$dir/$name/cmocka.o"
