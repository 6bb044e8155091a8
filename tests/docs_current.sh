#!/bin/sh
# The generated documents say what the program says.
# Usage: docs_current.sh [--write] HAN2X
set -eu
cd "$(dirname "$0")/.."
write=
[ "$1" != --write ] || { write=1; shift; }
program=$1
mkdir -p build docs/en
code=0
for table in registers settings; do
    "$program" "$table" --format md >"build/$table.md"
    if [ -n "$write" ]; then
        cp "build/$table.md" "docs/en/$table.md"
    elif ! diff -u "docs/en/$table.md" "build/$table.md"; then
        echo "docs/en/$table.md is not what the program prints; run: ./dev docs" >&2
        code=1
    fi
done
exit $code
