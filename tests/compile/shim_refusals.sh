#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What tools/shim refuses, before it makes a root, and its list. The argument is its path.
set -u
shim=$1
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# refuses MESSAGE ARGUMENTS...
refuses() {
    local message=$1 output status
    shift
    output=$("$shim" "$@" 2>&1)
    status=$?
    [ $status -eq 125 ] || fail "tools/shim $*: exit status $status"
    [ "$output" = "shim: $message" ] || fail "tools/shim $*: $output"
}

refuses "unknown device 'geforce'; tools/shim lists them" geforce true
refuses "unknown device ''; tools/shim lists them" '' true
refuses "unknown device 'intel'; tools/shim lists them" intel # a library, not a device
refuses "no command for bmg" bmg
refuses "unknown option '--device'" --device bmg true

list=$("$shim") || fail "tools/shim: exit status $?"
for device in bmg dg2 tgl ptl lnl adreno630 adreno740 m1 turing ampere gfx1201 navi31; do
    grep -q "^$device  *[A-Z]" <<<"$list" || fail "tools/shim does not list $device"
done
"$shim" --help | grep -q 'tools/shim DEVICE COMMAND' || fail "tools/shim --help does not say how to use it"

exit $((failures > 0))
