#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs dmattn_startup on AMD's driver, which needs no card to compile and reports what it found in a pipeline cache. The
# driver's own cache is off. The argument is the program; docs/testing.md explains DMATTN_RADV.
set -euo pipefail
if [ -z "${DMATTN_RADV-}" ]; then
    echo "dmattn tests: no device (DMATTN_RADV names no driver; tools/radv has one)"
    exit 0
fi
unset DMATTN_TEST_DEVICE
export VK_DRIVER_FILES=$DMATTN_RADV VK_ICD_FILENAMES=$DMATTN_RADV RADV_FORCE_FAMILY=navi21
export MESA_SHADER_CACHE_DISABLE=true
exec "$1" --hits
