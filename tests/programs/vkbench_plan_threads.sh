#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Cases that threads plan before the first one runs, in batches: all of them run, as without threads.
#   vkbench_plan_threads.sh VKBENCH
set -euo pipefail
vkbench=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# same CASES OPTIONS...: how many cases a batch has at most, and what runs
same() {
    local cases=$1 threads
    shift
    for threads in 1 3; do
        "$vkbench" --plan-threads "$threads" "$@" --time 0.001 --json "$folder/$threads.json" \
            >"$folder/$threads.page" 2>"$folder/$threads.progress" ||
            { cat "$folder/$threads.page" "$folder/$threads.progress"; exit 1; }
        grep -E '"(name|status)":' "$folder/$threads.json" >"$folder/$threads.cases"
    done
    cat "$folder/3.page" "$folder/3.progress"
    grep -q '"status":[[:space:]]*"ok"' "$folder/1.cases"
    diff "$folder/1.cases" "$folder/3.cases"
    if grep planning "$folder/1.progress"; then exit 1; fi
    grep -qx "planning the next $cases" "$folder/3.progress"
}

# Two batches: of 12 cases and of 2. So few queries have a small tile, which compiles faster.
same '12 cases' --n 2,3,4,5,6,7,8,9,10,11,12,13,14,15 --heads 2 --d 8 --type f32 --mask causal
grep -qx 'planning the next 2 cases' "$folder/3.progress"
same '1 case' --n 10 --heads 2 --d 8 --type f32 --mask causal --pass both
same '1 case' --pass prefill --keys 40 --queries 8 --heads 2 --d 8 --type f32 --mask causal --page-size 16
same '1 case' --pass decode --keys 40 --heads 2 --d 8 --type f32 --mask topw:16
