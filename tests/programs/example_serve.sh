#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# dmattn-generate serves several prompts. With each cache, a text is the same as when its prompt is served alone. With a
# paged one, prompts share the pages of their common prefix, and give back all pages. With a cache of f32, texts are
# those of the app with one sequence, whose logits --check compares with a reference, also if the prompts have chunks.
#   example_serve.sh DMATTN_GENERATE paged|bounded|paged_f32|chunks|bounded_f32|bounded_chunks
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
program=$1
prompts=("Every key is seen by one interval" "Every key is seen by many queries" "Pages")
model=(--layers 2 --tokens 10 --seed 4)

# serve OPTIONS...: all prompts at once; texts go to $folder/texts, without the device and the figures.
serve() {
    local arguments=()
    for prompt in "${prompts[@]}"; do
        arguments+=(--prompt "$prompt")
    done
    "$program" "${model[@]}" "${arguments[@]}" "$@" >"$folder/out"
    cat "$folder/out"
    grep '^\[' "$folder/out" >"$folder/texts"
}

# alone OPTIONS...: the prompts one after another, without serving, in the same form, are the same as $folder/texts.
alone() {
    local number=0
    for prompt in "${prompts[@]}"; do
        number=$((number + 1))
        printf '[%s] ' "$number"
        "$program" "${model[@]}" --prompt "$prompt" "$@" | grep -aF "$prompt"
    done >"$folder/alone"
    diff "$folder/alone" "$folder/texts"
}

# The texts of short prompts alone, which kernels of chunks also give, only if all cases are selected.
case $2-${DMATTN_TEST_CASES-} in
paged_f32-all | bounded_f32-all) ;;
paged_f32-* | bounded_f32-*)
    echo "skipped: only with DMATTN_TEST_CASES=all"
    exit 0
    ;;
esac

case $2 in
paged)
    serve --cache paged --sequences 2 --check --validation
    grep -q 'check: 3 of 3 texts are the same as alone; 21 tokens were shared; 6 of 6 pages are free' "$folder/out"
    ;;
bounded)
    serve --cache bounded --sequences 2 --window 12 --check --validation
    grep -q 'check: 3 of 3 texts' "$folder/out"
    ;;
paged_f32)
    serve --cache paged --format f32 --sequences 2
    alone --window 100
    ;;
chunks) # prompts of two chunks of 64 tokens, of one, and with a chunk behind the 40 tokens that it shares
    long="${prompts[0]} of queries: it begins with the key itself, and ends where more important keys have come. A page"
    prompts=("$long has sixteen tokens." "${long:50:64}" "${long:0:40}${long:30:80}")
    model=(--layers 3 --tokens 12 --seed 7)
    serve --cache paged --format f32 --sequences 2 --validation
    alone --window 1000
    ;;
bounded_chunks) # prompts of two chunks of 64 tokens, and of one
    long="${prompts[0]} of queries: it begins with the key itself, and ends where more important keys have come. A page"
    prompts=("$long has sixteen tokens." "${long:20:70}")
    model=(--layers 2 --tokens 6 --seed 7)
    serve --cache bounded --format f32 --window 12 --sequences 2 --validation
    alone --window 12
    ;;
bounded_f32)
    serve --cache bounded --format f32 --window 12
    alone --window 12
    ;;
esac
