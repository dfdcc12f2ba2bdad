#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What all programs have in common: -h and --help, at most 80 columns wide; -V and --version; --device, if there is one,
# takes an index or a name; completion in bash; and for installed programs a man page that says the same as --help.
#
#     habits.sh FOLDER_OF_MAN_PAGES COMPLETION PROGRAM...
set -u
pages=$1 completion=$2
shift 2
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# help PROGRAM [COMMAND]: writes the help text to $folder/help and checks it
help() {
    "$@" --help >"$folder/help" 2>"$folder/said" || fail "$* --help: $(cat "$folder/said")"
    "$@" -h 2>&1 | cmp -s - "$folder/help" || fail "$* -h is not $* --help"
    awk -v what="$*" 'length > 80 { print "FAILED: " what " --help: " $0; bad = 1 } END { exit bad }' "$folder/help" ||
        failures=$((failures + 1))
    head -n 1 "$folder/help" | grep -q "^Usage: ${1##*/}" || fail "$* --help: $(head -n 1 "$folder/help")"
    grep -q -- '-h, --help' "$folder/help" || fail "$* --help does not list itself"
    grep -q '^Exit status' "$folder/help" || [ $# -gt 1 ] || fail "$* --help does not list exit statuses"
}

# in_page PAGE: every line of $folder/help is in the page
in_page() {
    sed 's/\\-/-/g; s/\\e/\\/g; s/^\\&//; s/^\.S[HS] \(.*\)/\1:/' "$1" >"$folder/page"
    sed 's/^Usage: //; s/^       //' "$folder/help" >"$folder/wanted"
    sed -i 's/^       //' "$folder/page"
    grep -vxFf "$folder/page" "$folder/wanted" >"$folder/missing" && fail "$1 lacks: $(cat "$folder/missing")"
}

# completed WORDS...: what bash offers for the last word
completed() {
    # shellcheck disable=SC1090,SC2016
    PATH=$(dirname "$program"):$PATH bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dmattn "$1"
        printf "%s\n" "${COMPREPLY[@]}"' "$completion" "$@"
}

# offers WORD WORDS...: the completion of the last word is, or contains, WORD
offers() {
    local wanted=$1
    shift
    completed "$@" | grep -qxe "$wanted" || fail "completion of '$*' does not offer $wanted: $(completed "$@" | tr '\n' ' ')"
}

for program in "$@"; do
    name=${program##*/}
    for option in -V --version; do
        "$program" $option | grep -q "^$name [0-9]*\.[0-9]" || fail "$name $option: $("$program" $option 2>&1)"
    done
    help "$program"
    case $name in
    vkbench | dmattn-run) in_page "$pages/$name.1" ;;
    esac
    grep -q -- '--device D .*best.* its index, or part of its name' "$folder/help" || fail "$name has another --device"
    options=$(awk '/^  -/ { for (i = 1; i <= 2; i++) if ($i ~ /^-/) { sub(/[[,].*/, "", $i); print $i } }' "$folder/help")
    [ "$(completed "$name" - | sort)" = "$(sort <<<"$options")" ] || fail "completion of $name - offers other options"
    offers --version "$name" --ver
    offers best "$name" --device ''
done

# Words that the completion knows by itself are in the help text.
words=0
for program in "$@"; do
    name=${program##*/}
    for option in --level --suite --pass --type; do
        "$program" --help >"$folder/help"
        grep -q -- "^  $option " "$folder/help" || continue
        for word in $(completed "$name" "$option" ''); do
            words=$((words + 1))
            grep -qw -- "$word" "$folder/help" || fail "completion of $name $option offers $word"
        done
    done
done
[ $words -ge 10 ] || fail "the completion offers only $words words"

for program in "$@"; do
    [ "${program##*/}" = vkbench ] || continue
    for command in compare merge plot table; do
        help "$program" $command
        in_page "$pages/vkbench.1"
        offers $command vkbench "${command:0:2}"
    done
    offers --strict vkbench compare --st
    offers matrix2 vkbench --level = matrix
    offers llama-3-8b vkbench --model llama-3-
done

[ $failures -eq 0 ] && echo "all passed"
exit $((failures > 0))
