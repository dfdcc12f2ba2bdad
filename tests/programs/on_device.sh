#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs a test of dmattn-run with `--device D`, where DMATTN_TEST_DEVICE selects the device. Skipped if there is none,
# unless DMATTN_REQUIRE_DEVICE=1.
#
#     on_device.sh PATH_TO_DMATTN_RUN TEST [ARGUMENTS...]
set -u
run=$1
shift
device=${DMATTN_TEST_DEVICE:-best}
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
golden=("$(dirname "$0")"/../golden/*.safetensors)
if [ "${DMATTN_REQUIRE_DEVICE:-0}" != 1 ]; then
    "$run" --device "$device" "${golden[0]}" "$folder/out" >"$folder/stdout" 2>"$folder/stderr"
    if grep -qE 'no Vulkan (device|loader)' "$folder/stderr"; then
        echo "dmattn tests: no device ($(cat "$folder/stderr"))"
        exit 0
    fi
fi
"$@" --device "$device"
