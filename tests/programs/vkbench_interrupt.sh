#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SIGINT or SIGTERM while vkbench runs: it prints and writes the finished results, and the exit status is 130. It also writes
# the results if the reader of its page closes the pipe.
#   vkbench_interrupt.sh VKBENCH
set -euo pipefail
vkbench=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
set -m # otherwise background jobs ignore SIGINT

stopped_by() {
    rm -f "$folder"/*
    "$vkbench" --n 64 --heads 1 --d 16 --type f32 --mask none --time 0.01 --repeat-run 1000 --json "$folder/results.json" \
        >"$folder/page" 2>"$folder/progress" &
    local job=$! status=0 signal
    until grep -q '^case 3 ' "$folder/progress"; do
        kill -0 "$job" 2>/dev/null || { cat "$folder/progress"; exit 1; }
        sleep 0.05
    done
    for signal in "$@"; do
        kill "-$signal" "$job"
    done
    wait "$job" || status=$?
    cat "$folder/page" "$folder/progress"
    [ "$status" -eq 130 ] || { echo "$*: the exit status is $status"; exit 1; }
    grep -q '^! vkbench was stopped' "$folder/page"
    grep -Eq '"interrupted":[[:space:]]+true' "$folder/results.json"
    grep -Eq '"repeat":[[:space:]]+1,' "$folder/results.json"
}
stopped_by INT
stopped_by TERM
stopped_by INT INT # as timeout(1) does, to the program and to its group

"$vkbench" --n 64 --heads 1 --d 16 --type f32 --mask none,causal --time 0.01 --json "$folder/unread.json" 2>/dev/null |
    head -n 1 || true
grep -q '"name":.*/causal/' "$folder/unread.json"
