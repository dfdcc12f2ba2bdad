# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Completion for the programs of dmattn in bash. Options come from the program's own --help, so they are always right;
# where no word fits, bash completes file names. Installed for vkbench and dmattn-run; for a build folder:
#
#     source tools/completion/dmattn.bash

# The options in a help text: the first words of lines such as "  -h, --help  text" and "  --tune[=PART]  text".
_dmattn_options() {
    awk '/^  -/ { for (i = 1; i <= 2; i++) if ($i ~ /^-/) { sub(/[[,].*/, "", $i); print $i } }'
}

# The values of an option, if there are few.
_dmattn_values() {
    case $2 in
    --device)
        echo best
        [ "${1##*/}" = vkbench ] && "$1" --list 2>/dev/null | sed -n 's/^\([0-9][0-9]*\)  .*/\1/p'
        ;;
    --level)
        [ "${1##*/}" = vkbench ] && echo best
        echo portable matrix matrix2
        ;;
    --suite) echo quick models scaling sparsity decode serving full ;;
    --pass) echo forward backward both mask merge decode prefill ;;
    --type) echo f32 f16 bf16 ;;
    --model) "$1" --list-models 2>/dev/null | awk 'NR > 1 { print $1 }' ;;
    esac
}

_dmattn() {
    local program=$1 word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words=''
    local -a command=()
    COMPREPLY=()
    # bash makes "=" a word of its own: --level=ma is --level, =, ma
    [ "$word" = = ] && word=''
    [ "$previous" = = ] && previous=${COMP_WORDS[COMP_CWORD - 2]}
    if [ "${program##*/}" = vkbench ]; then
        case ${COMP_WORDS[1]} in
        compare | merge | plot | table) [ "$COMP_CWORD" -gt 1 ] && command=("${COMP_WORDS[1]}") ;;
        esac
        [ "$COMP_CWORD" -eq 1 ] && words='compare merge plot table'
    fi
    case $word in
    -*) words=$("$program" "${command[@]}" --help 2>/dev/null | _dmattn_options) ;;
    *)
        case $previous in
        -*) words=$(_dmattn_values "$program" "$previous") ;;
        esac
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o bashdefault -o default -F _dmattn vkbench dmattn-run dmattn-generate dmattn-cuda dmattn_startup
