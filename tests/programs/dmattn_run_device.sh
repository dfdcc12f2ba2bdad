#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs dmattn_run_test.sh on the device that DMATTN_TEST_DEVICE selects. Skipped if there is none, unless
# DMATTN_REQUIRE_DEVICE=1.
#
#     dmattn_run_device.sh PATH_TO_DMATTN_RUN_TEST PATH_TO_DMATTN_RUN
set -u
device=${DMATTN_TEST_DEVICE:-best}
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
golden=("$(dirname "$1")"/../golden/*.safetensors)
if [ "${DMATTN_REQUIRE_DEVICE:-0}" != 1 ]; then
    "$2" --device "$device" "${golden[0]}" "$folder/out" 2>"$folder/stderr"
    if grep -qE 'no Vulkan (device|loader)' "$folder/stderr"; then
        echo "dmattn tests: no device ($(cat "$folder/stderr"))"
        exit 0
    fi
fi
bash "$1" "$2" --device "$device"
