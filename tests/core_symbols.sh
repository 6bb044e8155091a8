#!/bin/sh
# The core links with nothing but memcpy memmove memset memcmp: checked on the built archive.
# Usage: core_symbols.sh libhxcore.a
set -eu
lib=$1
# integer division, multiplication and shifts of 32-bit ARM: the compiler's own run-time (AAPCS RTABI)
compiler='__aeabi_(u?idiv(mod)?|u?ldivmod|lmul|llsl|llsr|lasr)'
own=$(nm -A --defined-only "$lib" | awk '{ print $NF }' | sort -u)
bad=$(nm -u "$lib" | awk 'NF == 2 && $1 == "U" { print $2 }' | sort -u |
    grep -vxE "memcpy|memmove|memset|memcmp|$compiler" | grep -vxF "$own" || true)
if [ -n "$bad" ]; then
    printf 'core needs symbols that a bare machine does not have:\n%s\n' "$bad" >&2
    exit 1
fi
# const tables of pointers lie in .data.rel.ro, which is not meant here
data=$(objdump -t "$lib" | awk 'NF > 4 && $(NF-2) ~ /^\.(data|bss)$|^\*COM\*$/ && $NF !~ /^\./ { print $NF }')
if [ -n "$data" ]; then
    printf 'core has mutable file-scope variables:\n%s\n' "$data" >&2
    exit 1
fi
