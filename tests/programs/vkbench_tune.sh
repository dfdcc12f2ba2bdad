#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# vkbench --tune with each pass prints a row of each kernel of the pass, in lines of at most 80 columns. Few tiles are
# tried, because compiling is slow on a CPU.
#
#     vkbench_tune.sh PATH_TO_VKBENCH
set -u
vkbench=$1
fail() {
    echo "FAILED: $*"
    exit 1
}
# prints PATTERN OPTIONS...: a line has the pattern and a time, no other tile is wrong
prints() {
    local pattern=$1 page status
    shift
    page=$("$vkbench" --heads 2 --kv-heads 1 --d 16 --type f32 --level portable --time 0.001 "$@" 2>&1)
    status=$?
    case $page in *"there is no Vulkan device"*) echo "$page" && exit 0 ;; esac
    grep -qE "^ +[0-9.]+ +[0-9.e+-]+  [ *] $pattern" <<<"$page" || fail "no '$pattern' of $*: $page"
    [ $status = 0 ] || fail "status $status of $*: $page"
    awk 'length > 80 { exit 1 }' <<<"$page" || fail "more than 80 columns: $page"
}
tile='\.workgroup=64, \.rows=32'
prints "\{MANY, 16, \{$tile" --n 40 --mask none "--tune=forward portable {MANY, 16, {.workgroup=64, .rows=32"
prints "\{MANY, 16, \{$tile" --n 40 --mask none --pass backward \
    "--tune=gradients of queries portable {MANY, 16, {.workgroup=64, .rows=32"
prints "\{16, \{$tile" --n 40 --mask topw:16 --pass backward \
    "--tune=gradients of keys portable {16, {.workgroup=64, .rows=32"
prints "workgroup [0-9]+, key_lanes" --keys 70 --mask topw:16 --pass decode --tune

# Without a tile to print, the status is 1.
page=$("$vkbench" --n 40 --d 16 --type f32 --mask none "--tune=no such row" 2>&1)
status=$?
[ $status = 1 ] || fail "status $status without a tile: $page"
grep -q 'no such tile' <<<"$page" || fail "no sentence without a tile: $page"
