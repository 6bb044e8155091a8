#!/bin/sh
# Prints the version, from the one place that has it.
sed -n 's/^#define HX_VERSION "\(.*\)"$/\1/p' "$(dirname "$0")/../core/include/hx/base.h"
