#!/bin/sh
# Dependencies point one way. For each core module: which of our headers it may include.
set -eu
cd "$(dirname "$0")/.."

# module: headers it may include, its own aside
allowed='base:
crc: base
civil: base
hdlc: base crc
dlms: base civil
lists: base civil dlms
energy: base
continuity: base civil dlms lists
meter: base civil dlms lists continuity
state: base civil dlms lists meter energy
registers: base civil dlms lists meter energy state
modbus: base crc registers state lists meter
settings: base
gateway: base crc civil hdlc dlms lists meter energy state registers modbus
saved: base crc gateway
zone: base civil
hour: base civil dlms lists meter energy state zone
mqtt: base civil lists meter energy state zone hour
panel: base civil dlms lists meter energy state'
system='stdbool.h stddef.h stdint.h string.h limits.h'

system_headers() {
    sed -n 's/^#include <\(.*\)>.*/\1/p' "$1"
}
own_headers() {
    sed -n 's/^#include "\(.*\)".*/\1/p' "$1"
}

code=0
complain() {
    echo "$*" >&2
    code=1
}

for file in core/*.c core/include/hx/*.h; do
    module=$(basename "$file" | sed 's/[._].*//') # settings_doc.c is a part of settings
    row=$(echo "$allowed" | grep "^$module:") || complain "$file: no row in $0"
    for header in $(own_headers "$file"); do
        case $header in
            "hx/$module.h" | "hx/$module.def" | "$module"[._]*) continue ;;
            hx/*.h) ;;
            *) complain "$file includes \"$header\": the core has only hx/ headers" && continue ;;
        esac
        name=$(basename "$header" .h)
        echo " ${row#*:} " | grep -q " $name " ||
            complain "$file includes $header: $module may include only:${row#*:}"
    done
    for header in $(system_headers "$file"); do
        echo " $system " | grep -q " $header " || complain "$file includes <$header>: not freestanding"
    done
done
for file in ports/sim/*.c ports/sim/*.h; do
    [ -f "$file" ] || continue
    for header in $(system_headers "$file"); do
        echo " $system " | grep -q " $header " ||
            complain "$file includes <$header>: the simulator has no OS"
    done
done
exit $code
