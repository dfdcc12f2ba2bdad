#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Output files and exit statuses after failures: signals, full disks, missing memory, other processes.
#
#     output_files.sh DMATTN_RUN VKBENCH [INTERPOSE]
#
# INTERPOSE is the library of interpose.c. Without it, the tests that need it are left out.
set -u
run=$(realpath "$1") vkbench=$(realpath "$2") interpose=${3:+$(realpath "$3")}
golden=$(cd "$(dirname "$0")/../golden" && pwd) || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

case=$golden/dma_decode_f16.safetensors
result() {
    printf '{"type":"f16","batch":1,"heads":2,"kv_heads":1,"queries":%d,"keys":%d,"head_dim":64,"value_dim":64,' "$1" "$1"
    printf '"mask":"causal","pass":"forward","status":"ok","median_ms":1,"samples_ms":[0.9,1,1.1]}'
}
printf '{"schema":2,"device":{"name":"D"},"results":[%s,%s]}' "$(result 64)" "$(result 128)" >a.json
cp a.json b.json

# ---- modes, links ----------------------------------------------------------------------------------------------------

mode() { stat -c %a "$1"; }
(umask 022 && "$run" --cpu "$case" new) || fail "writing a new file failed"
[ "$(mode new)" = 644 ] || fail "a new file has mode $(mode new)"
for mode in 600 640 755; do
    echo old >kept && chmod "$mode" kept
    "$run" --cpu "$case" kept || fail "mode $mode"
    [ "$(mode kept)" = "$mode" ] || fail "mode $mode became $(mode kept)"
    cmp -s new kept || fail "mode $mode: the old file is still there"
done
mkdir there
echo old >there/target
ln -s there/target near
ln -s "$folder/near" far
"$vkbench" table a.json --csv far || fail "writing through a symbolic link failed"
{ [ -L near ] && [ -L far ]; } || fail "a symbolic link was replaced"
grep -q '^name,' there/target || fail "the target of a symbolic link was not replaced"
ln -s there/missing dangling
"$vkbench" table a.json --csv dangling || fail "writing through a dangling symbolic link failed"
{ [ -L dangling ] && [ -f there/missing ]; } || fail "the target of a dangling link was not made"
ln -s loop loop
"$run" --cpu "$case" loop 2>said && fail "writing through a loop of links succeeded"
[ -L loop ] || fail "a loop of links was replaced"
[ "$(find . -name '*.tmp')" = '' ] || fail "temporary files are left"

# ---- what was written ------------------------------------------------------------------------------------------------

# tells LINE COMMAND...: stderr is that line
tells() {
    local line=$1
    shift
    "$vkbench" "$@" 2>said >/dev/null || fail "$*: $(cat said)"
    [ "$(cat said)" = "vkbench: wrote $line" ] || fail "$* says: $(cat said)"
}
tells 'both.json: 2 runs, 4 results' merge both.json a.json b.json
tells 'report/index.html: 1 chart, also as SVG files, 1 table' plot both.json -o report
[ "$(find report -name '*.svg' | wc -l)" -eq 1 ] || fail "plot: $(find report)"
tells 'report.html: 1 chart, 1 table' plot both.json -o report.html
tells 'both.csv: all results as CSV' table both.json --csv both.csv
"$vkbench" plot both.json -o - 2>said >/dev/null
[ ! -s said ] || fail "plot -o - says: $(cat said)"

# ---- merge replaces nothing ------------------------------------------------------------------------------------------

for round in 1 2 3 4 5; do
    rm -f merged won
    for process in 1 2 3 4 5 6 7 8; do
        { "$vkbench" merge merged a.json b.json 2>/dev/null && echo "$process" >>won; } &
    done
    wait
    [ "$(wc -l <won)" -eq 1 ] || fail "merge: $(wc -l <won) of 8 processes made the same new file (round $round)"
done
"$vkbench" table merged >/dev/null || fail "the merged file cannot be read"

# ---- full disks ------------------------------------------------------------------------------------------------------

echo old >full
(trap '' XFSZ && ulimit -f 1 && "$run" --cpu "$golden/dma_topw_f32.safetensors" full 2>said)
[ $? -eq 1 ] || fail "a full disk: the status is not 1"
[ "$(cat full)" = old ] || fail "a full disk: the old file is gone"
(ulimit -c 0 -f 1 && exec "$run" --cpu "$golden/dma_topw_f32.safetensors" full) 2>said
[ $? -eq $((128 + $(kill -l XFSZ))) ] || fail "a full disk: the signal does not end the program"
[ "$(find . -name '*.tmp')" = '' ] || fail "a full disk: temporary files are left"

# ---- bounded reading -------------------------------------------------------------------------------------------------

# refused TEXT COMMAND...: the command ends by itself with status 2 and one line that contains TEXT
refused() {
    local text=$1 status
    shift
    timeout 200 "$@" >out 2>said
    status=$?
    [ $status -eq 2 ] || fail "$*: status $status"
    { [ "$(wc -l <said)" -eq 1 ] && grep -qF "$text" said; } || fail "$*: $(head -c 300 said)"
}
refused 'NUL' "$vkbench" table /dev/zero
refused 'is empty' "$vkbench" table /dev/null
refused 'NUL' "$vkbench" table <(printf '{"schema":2,"results":[{"type":"f16\\u0000x"}]}')
refused 'MiB' "$vkbench" table <(yes ' ')
refused 'JSON values' "$vkbench" table <(printf '{"schema":2,"results":[' && yes '0,' | head -n 4000000 && printf '0]}')
refused 'not a regular file' "$run" --cpu /dev/zero out.safetensors

# ---- signals and missing memory --------------------------------------------------------------------------------------

# Processes take nearly all of the time here, so what is checked hundreds of times uses only builtins.
shopt -s nullglob dotglob

# clean NAME: the folder holds the old output and no other file
clean() {
    local text='' files=(work/*)
    { read -r text <work/out; } 2>/dev/null
    [ "$text" = old ] || fail "$1: the old output is gone"
    [ "${files[*]}" = work/out ] || fail "$1: these files remain: ${files[*]}"
}

# start: makes the folder with an old output anew
start() {
    rm -rf work && mkdir work && echo old >work/out
}

# sweep STEP COMMAND...: runs the command once for every STEP-th allocation, which fails. The command must succeed, or
# end with status 1 and one line
sweep() {
    local step=$1 at=1 status good=0 lines
    shift
    start
    while [ $good -lt 2 ] && [ $at -lt 3000 ]; do
        FAIL_AT=$at LD_PRELOAD=$interpose "$@" >out 2>said
        status=$?
        if [ $status -eq 0 ]; then
            good=$((good + 1))
            start
        else
            [ $status -eq 1 ] || fail "$*: allocation $at fails: status $status: $(head -c 200 said)"
            mapfile -t lines <said
            [ ${#lines[@]} -eq 1 ] || fail "$*: allocation $at fails: ${#lines[@]} lines: $(head -c 300 said)"
            clean "$*: allocation $at fails"
        fi
        at=$((at + step))
    done
    [ $good -eq 2 ] || fail "$*: it never succeeds"
}

if [ -n "$interpose" ]; then
    # Messages never go into an output file, even if stdout or stderr is closed.
    MESSAGE=1 LD_PRELOAD=$interpose "$run" --cpu "$case" whole >said 2>&1
    grep -q '^message$' said || fail "no message while a file is flushed: $(cat said)"
    cmp -s new whole || fail "a message is in the output file"
    MESSAGE=1 LD_PRELOAD=$interpose "$run" --cpu "$case" whole 2>&- >said
    cmp -s new whole || fail "stderr is closed: a message is in the output file"
    MESSAGE=1 LD_PRELOAD=$interpose "$run" --cpu "$case" whole 2>&- >&- <&-
    cmp -s new whole || fail "stdin, stdout and stderr are closed: a message is in the output file"

    # A file without a name is refused before anything is written.
    MESSAGE=1 LD_PRELOAD=$interpose "$run" --cpu "$case" '' >said 2>&1
    grep -q '^message$' said && fail "no name: a file was written"

    for signal in HUP INT TERM QUIT ALRM USR1; do
        signal=$(kill -l "$signal")
        start
        (SIGNAL=$signal LD_PRELOAD=$interpose exec "$run" --cpu "$case" work/out) 2>said
        [ $? -eq $((128 + signal)) ] || fail "dmattn-run: the exit status after signal $signal is wrong"
        clean "dmattn-run: signal $signal"
        SIGNAL=$signal LD_PRELOAD=$interpose "$vkbench" table a.json --csv work/out 2>said
        clean "vkbench table: signal $signal"
        rm work/out
        SIGNAL=$signal LD_PRELOAD=$interpose "$vkbench" merge work/out a.json b.json 2>said
        [ "$(ls -A work)" = '' ] || fail "merge: signal $signal left $(ls -A work)"
    done
    sweep 1 "$run" --cpu "$case" work/out
    sweep 3 "$vkbench" table a.json --csv work/out
    sweep 7 "$vkbench" table a.json --markdown work/out
    sweep 29 "$vkbench" plot a.json -o "$folder/page.html"
    sweep 7 "$vkbench" compare a.json b.json
fi

[ $failures -eq 0 ] && echo "all passed"
exit $((failures > 0))
