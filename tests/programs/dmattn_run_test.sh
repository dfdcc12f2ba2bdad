#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tests the program dmattn-run: its error messages and exit statuses, and that it computes every golden case. Processes
# take most of the time, so the functions of this script use builtins of the shell where they can.
#
#     dmattn_run_test.sh PATH_TO_DMATTN_RUN [options]
#
# Without options, everything runs with --cpu. With options, such as `--device llvmpipe`, only a golden case of each
# operator runs, with these options. DMATTN_EMULATOR may hold a command that runs the program.
set -u
read -ra run <<<"${DMATTN_EMULATOR-}"
run+=("$1")
shift
golden=$(cd "$(dirname "$0")/../golden" && pwd) || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# ones BYTES: writes floats of 1.0
ones() {
    local numbers zeros
    printf -v numbers '%*s' $(($1 / 4)) ''
    printf -v zeros '%*s' $(($1 % 4)) ''
    printf '%b' "${numbers// /\\0\\0\\0200\\077}${zeros// /\\0}"
}

# make_file NAME HEADER BYTES: makes a .safetensors file with that many bytes of data
make_file() {
    local length=${#2} prefix='' i
    for i in 0 1 2 3; do
        printf -v prefix '%s\\x%02x' "$prefix" $((length >> 8 * i & 255))
    done
    { printf "$prefix\\0\\0\\0\\0%s" "$2" && ones "$3"; } >"$folder/$1"
}

# refused STATUS TEXT ARGUMENTS...: the program fails with one line that contains TEXT, and writes no file
refused() {
    local want=$1 text=$2 status lines
    shift 2
    [ ! -e "$folder/out" ] || rm "$folder/out"
    "${run[@]}" "$@" >"$folder/stdout" 2>"$folder/stderr"
    status=$?
    [ $status -eq "$want" ] || fail "$*: status $status instead of $want"
    mapfile lines <"$folder/stderr"
    [[ ${#lines[@]} -eq 1 && ${lines[0]} == *$'\n' ]] || fail "$*: the message is not one line: ${lines[*]}"
    [[ ${lines[0]-} == 'dmattn-run: '* ]] || fail "$*: the message does not begin with the name of the program: ${lines[*]}"
    [[ ${lines[0]-} == *"$text"* ]] || fail "$*: no '$text' in: ${lines[*]}"
    [ ! -s "$folder/stdout" ] || fail "$*: printed to stdout"
    [ ! -e "$folder/out" ] || fail "$*: wrote an output file"
}

# read_header FILE: sets `header` to the file's header, and `length` to its number of bytes
read_header() {
    length=$(od -An -tu4 -N4 "$1")
    length=${length// /}
    header=$(tail -c +9 "$1" | head -c "$length")
}

# accepted ARGUMENTS...: the program succeeds, says where it ran and warns of nothing; the output file is complete
accepted() {
    local length header rest last=0 lines
    [ ! -e "$folder/out" ] || rm "$folder/out"
    "${run[@]}" "$@" "$folder/out" >"$folder/stdout" 2>"$folder/stderr" || fail "$*: $(cat "$folder/stdout" "$folder/stderr")"
    mapfile -t lines <"$folder/stdout"
    [[ "${lines[*]}" == *'device: '?* ]] || fail "$*: no device in: ${lines[*]}"
    [[ $1 == --cpu || " ${lines[*]//$'\r'/} " =~ ' level: '(portable|matrix2?)' ' ]] || fail "$*: no level in: ${lines[*]}"
    [[ $1 == --cpu || ${lines[*]} == *' level: matrix2'* || ${lines[*]} == *' why not higher: matrix2: '?* ]] ||
        fail "$*: no reason for the level in: ${lines[*]}"
    mapfile -t lines <"$folder/stderr"
    # This metadata is in one golden case.
    [[ -z ${lines[*]} || (${#lines[@]} -eq 1 && ${lines[0]} == *"the metadata 'bias' is ignored"*) ]] || fail "$*: a warning: ${lines[*]}"
    [ -e "$folder/out" ] || { fail "$*: no output file" && return; }
    read_header "$folder/out"
    [[ $header == *'"selected":{"dtype":"I32"'* || $header == *'"out":{"dtype":"F32"'*'"lse":{"dtype":"F32"'* ]] ||
        fail "$*: header $header"
    rest=$header
    while [[ $rest =~ \"data_offsets\":\[[0-9]*,([0-9]*)\](.*) ]]; do
        last=$((BASH_REMATCH[1] > last ? BASH_REMATCH[1] : last))
        rest=${BASH_REMATCH[2]}
    done
    [ "$(wc -c <"$folder/out")" -eq $((8 + length + last)) ] || fail "$*: the output file is not complete"
}

# gradients FILE: lists names and shapes of the gradients in a file
gradients() {
    local length header
    read_header "$1"
    grep -oE '"d(q|k|v|_[a-z_]*)":\{"dtype":"F32","shape":[^]]*\]' <<<"${header// /}" | LC_ALL=C sort
}

# same_gradients FILE: the output has exactly the gradients that the file has
same_gradients() {
    diff <(gradients "$1") <(gradients "$folder/out") >"$folder/diff" || fail "$1: gradients: $(cat "$folder/diff")"
}

# tensor NAME TYPE SHAPE BEGIN END: writes an entry of a header
tensor() {
    printf '"%s":{"dtype":"%s","shape":%s,"data_offsets":[%s,%s]}' "$@"
}

# finish: ends the test
finish() {
    [ $failures -eq 0 ] && echo "all passed"
    exit $((failures > 0))
}

# On a device, a case of each operator, one with gradients; test_golden runs all of them there.
if [ $# -gt 0 ]; then
    for file in "$golden"/*.safetensors; do
        if [ "${DMATTN_TEST_CASES-}" = all ] || [[ ${file##*/} =~ ^(dma_topw_f16|intervals_rect_f32)\. ]]; then
            accepted "$@" --check "$file"
            same_gradients "$file"
        fi
    done
    finish
fi

# A case with one query and one key; tests replace its parts.
meta='"__metadata__":{"op":"attention"}'
q=$(tensor q F32 '[1,1,1,8]' 0 32)
k=$(tensor k F32 '[1,1,1,8]' 32 64)
v=$(tensor v F32 '[1,1,1,8]' 64 96)

# bad TEXT HEADER [BYTES]: the program rejects that file with that text
bad() {
    make_file bad "{$2}" "${3:-96}"
    refused 2 "$1" --cpu "$folder/bad" "$folder/out"
}

make_file good "{$meta,$q,$k,$v}" 96
accepted --cpu "$folder/good"
ones 32 | cmp -s - <(tail -c 36 "$folder/out" | head -c 32) || fail "one key: out is not v"

# Options
refused 2 'unknown option' --cpu --bogus "$folder/good" "$folder/out"
refused 2 'unknown option' -x "$folder/good" "$folder/out"
refused 2 'needs a value' --cpu "$folder/good" "$folder/out" --device
refused 2 'no value is allowed' --cpu=1 "$folder/good" "$folder/out"
refused 2 'level' --level best "$folder/good" "$folder/out"
refused 2 'needed' --cpu "$folder/good"
refused 2 'needed' --cpu "$folder/good" "$folder/out" "$folder/good"
refused 2 'no value is allowed' --check=1 "$folder/good" "$folder/out"
refused 2 'at most one output' --cpu --check
refused 2 'no results to check' --cpu --check "$folder/good"
"${run[@]}" "$folder/good" --cpu "$folder/out" >"$folder/stdout" || fail "an option between the file names was rejected"
for option in -h --help; do
    "${run[@]}" $option | grep -q Usage || fail "$option does not print the usage"
done
for option in -V --version; do
    "${run[@]}" $option | grep -q '^dmattn-run [0-9]' || fail "$option"
done
if [ -z "${DMATTN_EMULATOR-}" ]; then # Wine can always write to /dev/full
    "${run[@]}" --help 2>"$folder/said" >/dev/full && fail "--help to a full disk succeeds"
    grep -q 'the output cannot be written' "$folder/said" || fail "--help to a full disk says nothing"
fi

# Files
refused 2 'cannot be opened' --cpu "$folder/none" "$folder/out"
refused 2 'cannot be opened' --cpu "$(printf '%s/no\nne' "$folder")" "$folder/out"
refused 2 'cannot be ' --cpu "$folder" "$folder/out" # read, or on Windows opened
for bytes in 0 7 8 50 200 "$(($(wc -c <"$folder/good") - 1))"; do
    head -c "$bytes" "$folder/good" >"$folder/bad"
    refused 2 "$folder/bad: " --cpu "$folder/bad" "$folder/out"
done
if [ -z "${DMATTN_EMULATOR-}" ]; then
    refused 2 'not a regular file' --cpu /dev/zero "$folder/out"
    refused 2 'truncated' --cpu /dev/null "$folder/out"
fi
refused 1 'cannot be written' --cpu "$folder/good" "$folder/none/out"
refused 1 'cannot be written' --cpu "$folder/good" ''
refused 2 'is the input' --cpu "$folder/good" "$folder/good"
refused 1 'cannot be written' --cpu "$folder/good" "$folder"

# Cases
bad "metadata op is missing" "$q,$k,$v"
bad "op is 'x', but must be one of attention, dma" "\"__metadata__\":{\"op\":\"x\"},$q,$k,$v"
bad "no tensor 'q'" "$meta,$(tensor x F32 '[1,1,1,8]' 0 32),$k,$v"
bad "NUL" "$meta,$(tensor 'q\u0000x' F32 '[1,1,1,8]' 0 32),$k,$v"
bad "NUL" "${meta/attention/attention\\u0000},$q,$k,$v"
bad "no tensor 'q'" "$meta,$(tensor 'q\\u0000x' F32 '[1,1,1,8]' 0 32),$k,$v"
bad "the same type" "$meta,$q,$(tensor k F16 '[1,1,1,8]' 32 48),$(tensor v F32 '[1,1,1,8]' 48 80)" 80
bad "q is F64" "$meta,$(tensor q F64 '[1,1,1,4]' 0 32),$(tensor k F64 '[1,1,1,4]' 32 64),$(tensor v F64 '[1,1,1,4]' 64 96)"
bad "4 dimensions" "$meta,$(tensor q F32 '[1,1,8]' 0 32),$k,$v"
bad "every extent" "$meta,$q,$(tensor k F32 '[1,0,1,8]' 32 32),$(tensor v F32 '[1,0,1,8]' 32 32)" 32
bad "every extent" "$meta,$(tensor q F32 '[0,1,1,8]' 0 0),$(tensor k F32 '[1,1,1,24]' 0 96)"
bad "multiple of 8" "$meta,$(tensor q F32 '[1,1,2,4]' 0 32),$(tensor k F32 '[1,2,1,4]' 32 64),$(tensor v F32 '[1,2,1,4]' 64 96)"
bad "multiple of kv_heads" "$meta,$q,$(tensor k F32 '[1,1,2,8]' 32 96),$(tensor v F32 '[1,1,2,8]' 96 160)" 160
bad "k has shape [1, 2, 1, 4]" "$meta,$q,$(tensor k F32 '[1,2,1,4]' 32 64),$v"
bad "v has shape [1, 2, 1, 4]" "$meta,$q,$k,$(tensor v F32 '[1,2,1,4]' 64 96)"
bad "mask is F32" "$meta,$q,$k,$v,$(tensor mask F32 '[1,1,1,1]' 96 100)" 100
bad "mask has shape [1, 1, 4]" "$meta,$q,$k,$v,$(tensor mask U8 '[1,1,4]' 96 100)" 100
bad "mask has shape [1, 1, 1, 4]" "$meta,$q,$k,$v,$(tensor mask U8 '[1,1,1,4]' 96 100)" 100
bad "mask_shape.heads is 4" "$meta,$q,$k,$v,$(tensor mask U8 '[1,4,1,1]' 96 100)" 100
bad "bias is I32" "$meta,$q,$k,$v,$(tensor bias I32 '[1,1,1,1]' 96 100)" 100
bad "no tensor 'begin'" "${meta/%\}/,\"intervals\":\"1\"\}},$q,$k,$v"
for pair in causal=2 causal= intervals=yes scale=0 scale=1x scale= scale=nan scale=1e99 soft_cap=inf soft_cap=-1; do
    bad "${pair%=*}" "${meta/%\}/,\"${pair%=*}\":\"${pair#*=}\"\}},$q,$k,$v"
done

# Formats: k has 8 bytes, and then v and the scale of k follow.
int8=${meta/%\}/,\"type\":\"f32\",\"k_format\":\"int8\"\}}
bytes=$(tensor k U8 '[1,1,1,8]' 32 40)
rows="$q,$bytes,$(tensor v F32 '[1,1,1,8]' 40 72)"
scale=$(tensor k_scales F32 '[1,1,1]' 72 76)
make_file good_int8 "{$int8,$rows,$scale}" 76
accepted --cpu "$folder/good_int8"
bad "no tensor 'k_scales'" "$int8,$rows" 72
bad "k_scales has shape [1, 1], but must have [1, 1, 1]" "$int8,$rows,$(tensor k_scales F32 '[1,1]' 72 76)" 76
bad "k_scales is I32" "$int8,$rows,$(tensor k_scales I32 '[1,1,1]' 72 76)" 76
bad "metadata type is missing" "${meta/%\}/,\"k_format\":\"int8\"\}},$rows,$scale" 76
bad "k is F32 of shape [1, 1, 1, 8], but in the format int8" "$int8,$q,$k,$v,$(tensor k_scales F32 '[1,1,1]' 96 100)" 100
bad "a multiple of 34" "${int8/int8/q8_0},$rows,$scale" 76
bad "metadata k_format is 'q5_0'" "${int8/int8/q5_0},$rows,$scale" 76
bad "metadata type is 'f64'" "${int8/f32/f64},$rows,$scale" 76
wide=$(tensor k U8 '[1,1,1,16]' 32 48)
bad "16 elements in a row, but q has 8" "$int8,$q,$wide,$(tensor v F32 '[1,1,1,8]' 48 80),${scale/72,76/80,84}" 84

# Dynamic masks: dt_weight and a follow q, k and v.
dma='"__metadata__":{"op":"dma","selection":"topw_causal","window":"1","causal":"1"}'
weight=$(tensor dt_weight F32 '[1,8]' 96 128)
a=$(tensor a F32 '[1]' 128 132)
make_file good_dma "{$dma,$q,$k,$v,$weight,$a}" 132
accepted --cpu "$folder/good_dma"
bad "metadata selection is missing" "\"__metadata__\":{\"op\":\"dma\"},$q,$k,$v,$weight,$a" 132
bad "no tensor 'dt_weight'" "$dma,$q,$k,$v"
bad "no tensor 'a'" "$dma,$q,$k,$v,$weight" 128
bad "dt_weight has shape [8], but must have [1, 8]" "$dma,$q,$k,$v,$(tensor dt_weight F32 '[8]' 96 128),$a" 132
bad "a has shape [1, 1], but must have [1]" "$dma,$q,$k,$v,$weight,$(tensor a F32 '[1,1]' 128 132)" 132
bad "a is I32" "$dma,$q,$k,$v,$weight,$(tensor a I32 '[1]' 128 132)" 132
bad "key_valid has shape [2], but must have [1, 1]" "$dma,$q,$k,$v,$weight,$a,$(tensor key_valid U8 '[2]' 132 134)" 134
bad "key_valid is F32" "$dma,$q,$k,$v,$weight,$a,$(tensor key_valid F32 '[1,1]' 132 136)" 136
bad "no tensor 'key_offsets'" "$dma,$q,$k,$v,$weight,$a,$(tensor query_offsets I32 '[1,2]' 132 140)" 140
bad "query_offsets has shape [2]" "$dma,$q,$k,$v,$weight,$a,$(tensor query_offsets I32 '[2]' 132 140)" 140
# Document offsets must ascend within the lengths.
# words NUMBERS...: writes int32 numbers
words() {
    local word
    for word in "$@"; do
        printf '%b' "$(printf '\\x%02x' $((word & 255)) $((word >> 8 & 255)) $((word >> 16 & 255)) $((word >> 24 & 255)))"
    done
}
# offsets Q0 Q1 K0 K1: makes a case with one document of at most one query and one key
offsets() {
    make_file documents "{$dma,$q,$k,$v,$weight,$a,$(tensor query_offsets I32 '[1,2]' 132 140),$(tensor key_offsets I32 '[1,2]' 140 148)}" 132
    words "$@" >>"$folder/documents"
}
offsets 0 1 0 1
accepted --cpu "$folder/documents"
offsets 0 0 1 1
accepted --cpu "$folder/documents"
offsets 0 1 0 40
refused 2 'key_offsets of batch item 0 is 40 at index 1, but must be from 0 to 1' --cpu "$folder/documents" "$folder/out"
offsets 0 1 -1 1
refused 2 'key_offsets of batch item 0 is -1 at index 0' --cpu "$folder/documents" "$folder/out"
offsets 1 0 0 1
refused 2 'query_offsets of batch item 0 is 0 at index 1, but must be from 1 to 1' --cpu "$folder/documents" "$folder/out"
offsets 0 2147483647 0 1
refused 2 'query_offsets of batch item 0 is 2147483647 at index 1' --cpu "$folder/documents" "$folder/out"
for pair in window=0 window=-1 window=1.5 window=9999999999 selection=top activation=relu tie_break=first sinks=x \
    recent= sliding=1e3 causal=2; do
    other=$(printf '%s' "$dma" | sed "s/,\"${pair%=*}\":\"[^\"]*\"//")
    bad "${pair%=*}" "${other/%\}/,\"${pair%=*}\":\"${pair#*=}\"\}},$q,$k,$v,$weight,$a" 132
done
bad "threshold" "${dma/topw_causal/threshold},$q,$k,$v,$weight,$a" 132

# Gradients. With one key dv equals dout, and all other gradients are 0.
dout=$(tensor dout F32 '[1,1,1,8]' 96 128)
bias=$(tensor bias F32 '[1,1,1,1]' 128 132)
make_file good_dout "{$meta,$q,$k,$v,$dout,$bias}" 132
accepted --cpu "$folder/good_dout"
[ "$(gradients "$folder/out" | grep -c .)" -eq 4 ] || fail "one key: gradients $(gradients "$folder/out")"
gradients "$folder/out" | grep -qF '"d_bias":{"dtype":"F32","shape":[1,1,1,1]' || fail "one key: no d_bias of 4 dimensions"
{ head -c 64 /dev/zero && ones 32 && head -c 4 /dev/zero; } | cmp -s - <(tail -c 100 "$folder/out") \
    || fail "one key: the gradients are wrong"
make_file good_intervals "{${meta/%\}/,\"intervals\":\"1\"\}},$q,$k,$v,$dout,$(tensor bias F32 '[1,1,1]' 128 132),$(tensor begin I32 '[1,1,1]' 132 136),$(tensor end I32 '[1,1,1]' 136 140)}" 140
accepted --cpu "$folder/good_intervals"
gradients "$folder/out" | grep -qF '"d_bias":{"dtype":"F32","shape":[1,1,1]' || fail "intervals: no d_bias of 3 dimensions"
make_file good_dma_dout "{$dma,$q,$k,$v,$dout,$(tensor dt_weight F32 '[1,8]' 128 160),$(tensor a F32 '[1]' 160 164)}" 164
accepted --cpu "$folder/good_dma_dout"
[ "$(gradients "$folder/out" | sed 's/:.*//' | tr -d '\n')" = '"d_a""d_dt_weight""dk""dq""dv"' ] \
    || fail "dma: gradients $(gradients "$folder/out")"
bad "dout has shape [1, 8], but must have [1, 1, 1, 8]" "$meta,$q,$k,$v,$(tensor dout F32 '[1,8]' 96 128)" 128
bad "dout has shape [1, 1, 8, 1]" "$meta,$q,$k,$v,$(tensor dout F32 '[1,1,8,1]' 96 128)" 128
bad "dout has shape [1, 2, 1, 8]" "$meta,$q,$k,$v,$(tensor dout F32 '[1,2,1,8]' 96 160)" 160
bad "dout is F16, but must be F32" "$meta,$q,$k,$v,$(tensor dout F16 '[1,1,1,8]' 96 112)" 112
bad "every extent" "$meta,$q,$k,$v,$(tensor dout F32 '[1,0,1,8]' 96 96)"
bad "dout is F64" "$dma,$q,$k,$v,$weight,$a,$(tensor dout F64 '[1,1,1,8]' 132 196)" 196

# On failure an existing output file is unchanged, and no temporary file remains.
mkdir "$folder/old" && echo old >"$folder/old/out"
"${run[@]}" --cpu "$folder/bad" "$folder/old/out" 2>/dev/null
{ [ "$(cat "$folder/old/out")" = old ] && [ "$(ls "$folder/old")" = out ]; } || fail "an existing output file was changed"
"${run[@]}" --cpu "$folder/good" "$folder/old/out" >"$folder/stdout" || fail "an existing output file is not replaced"
[ "$(ls "$folder/old")" = out ] || fail "a temporary file remains"

# Emulators are slow. There, the test golden.reference computes all cases, in one process.
for file in "$golden"/*.safetensors; do
    if [ -z "${DMATTN_EMULATOR-}" ] || [[ ${file##*/} =~ ^(dma_topw_f16|intervals_rect_f32)\. ]]; then
        accepted --cpu --check "$file"
        same_gradients "$file"
    fi
done

finish
