#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# dmattn-generate with wrong options and files: its exit status, and one line that names the fault.
#   example_refusals.sh DMATTN_GENERATE
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
program=$1

# refuses STATUS PART ARGUMENTS...
refuses() {
    local wanted=$1 part=$2 status=0
    shift 2
    "$program" "$@" >"$folder/out" 2>"$folder/said" || status=$?
    cat "$folder/said"
    [ "$status" -eq "$wanted" ] || { echo "the exit status is $status, not $wanted"; exit 1; }
    [ "$(wc -l <"$folder/said")" -eq 1 ] && grep -q -- "$part" "$folder/said"
}

"$program" --tokens 1 --layers 1 --save "$folder/whole" >/dev/null
head -c 5000 "$folder/whole" >"$folder/cut"
refuses 2 'beyond the end of the file' --weights "$folder/cut"
refuses 2 'No such file' --weights "$folder/none"
refuses 2 '--tokens' --tokens 0
refuses 2 '--seed' --seed
refuses 2 'paged or bounded' --cache other
refuses 2 'q4_0, not' --cache paged --format int4
refuses 2 'need several prompts' --sequences 2
refuses 2 'prompt is empty' --prompt a --prompt ''
refuses 2 'window of 8' --cache paged --window 8 --prompt 'nine tokens' --layers 1
refuses 2 "is '15'" --device 15
refuses 2 "is 'no such name'" --device 'no such name'
"$program" --device 0 --tokens 1 --layers 1 >"$folder/by_index"
name=$(head -n 1 "$folder/by_index")
name=${name%%,*}
"$program" --device "${name:1}" --tokens 1 --layers 1 >"$folder/by_name"
head -n 1 "$folder/by_name" | grep -qF "$name"
# A CPU device allows 65535 workgroups of 64 invocations, less than 256 for each of these tokens.
long=$(head -c 40000 /dev/zero | tr '\0' a)
"$program" --tokens 1 --layers 1 >"$folder/out"
if grep -q '^llvmpipe' "$folder/out"; then
    refuses 2 '40000 tokens' --tokens 1 --layers 1 --prompt "$long"
fi
status=0
"$program" --tokens 1 --layers 1 >/dev/full 2>"$folder/said" || status=$?
[ "$status" -eq 1 ] && grep -q 'output' "$folder/said"
