#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tools/setup on systems with apt-get, dnf and pacman: it installs the packages that are missing, and all that it
# installs are in docs/requirements.md. The package managers are scripts that record how they are called.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# fake SYSTEM PROGRAM COMMANDS: a program of this name, as a shell script
fake() {
    printf '#!/bin/sh\n%s\n' "$3" >"$folder/$1/$2"
    chmod +x "$folder/$1/$2"
}

for system in none apt dnf pacman; do
    mkdir "$folder/$system"
    for program in bash dirname env id mktemp rm sed; do
        ln -s "$(command -v "$program")" "$folder/$system/$program" || exit 1
    done
    fake $system sudo 'exec "$@"'
    fake $system glslang 'exit 0' # new enough
done
# $PRESENT lists installed packages. Each program is asked for one package, which is its last argument.
# shellcheck disable=SC2016 # the variables are those of the scripts
present='for package; do :; done; case " $PRESENT " in *" $package "*) true ;; *) false ;; esac'
fake apt dpkg-query "$present && echo 'install ok installed'"
fake dnf rpm "$present"
# shellcheck disable=SC2016
fake pacman pacman 'if [ "$1" = --deptest ]; then
'"$present"'
else echo "pacman $*" >>"$LOG"; fi'
for manager in apt:apt-get dnf:dnf; do
    # shellcheck disable=SC2016
    fake "${manager%:*}" "${manager#*:}" 'echo "${0##*/} $*" >>"$LOG"'
done

# setup_on SYSTEM [INSTALLED PACKAGES...]: prints the command that installs
setup_on() {
    local system=$1
    shift
    : >"$folder/log"
    PATH=$folder/$system LOG=$folder/log PRESENT="$*" bash "$root/tools/setup" >"$folder/out" 2>&1 || return
    grep -vw update "$folder/log"
}

for system in apt dnf pacman; do
    command=$(setup_on $system) || fail "$system: $(cat "$folder/out")"
    packages=()
    for word in ${command#*install }; do
        case $word in -* | pacman) ;; *) packages+=("$word") ;; esac
    done
    [ "${#packages[@]}" -gt 9 ] || fail "$system installs only: $command"
    for package in "${packages[@]}"; do
        grep -qE "[| ]$package( |\$)" "$root/docs/requirements.md" || fail "$package is not in docs/requirements.md"
    done
    command=$(setup_on $system "${packages[@]:1}") || fail "$system, one package: $(cat "$folder/out")"
    [[ $command == *" ${packages[0]}" && $command != *"${packages[1]}"* ]] || fail "$system, one package: $command"
    command=$(setup_on $system "${packages[@]}")
    [ -z "$command" ] || fail "$system, nothing to install: $command"
    grep -q "glslang compiles all kernels" "$folder/out" || fail "$system: $(cat "$folder/out")"
done
setup_on none && fail "no package manager, but no error"
grep -q "docs/requirements.md" "$folder/out" || fail "no package manager: $(cat "$folder/out")"

[ "$failures" -eq 0 ]
