#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# All experiments on a CUDA device: the checks, then associative recall and needles, in about MINUTES minutes.
#   bench/experiments/on_cuda.sh BUILD FOLDER [MINUTES]
# BUILD is a build with -DBUILD_SHARED_LIBS=ON of the target dmattn. FOLDER gets recall.json and needle.json; runs that
# these already have are not repeated.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "${1:?"usage: on_cuda.sh BUILD FOLDER [MINUTES]"}" && pwd) || exit 2
folder=${2:?"usage: on_cuda.sh BUILD FOLDER [MINUTES]"} minutes=${3:-8}
library=$(find "$build" -maxdepth 1 -name 'libdmattn.so*' | sort | head -n 1)
[ -n "$library" ] || { echo "on_cuda.sh: $build has no libdmattn.so" >&2; exit 2; }
export DMATTN_LIBRARY=$library LD_LIBRARY_PATH=$build:${LD_LIBRARY_PATH-} PYTHONUNBUFFERED=1
python3 -c 'import torch; assert torch.cuda.is_available()' || { echo "on_cuda.sh: no CUDA device" >&2; exit 2; }
mkdir -p "$folder"

part() { python3 -c "print($minutes * $1)"; }
failed=0
run() {
    printf '\n== %s ==\n' "$*"
    time python3 -B "$here/$1" "${@:2}" || { echo "FAILED: $*"; failed=1; }
}
run recall.py --check
run recall.py --minutes "$(part 0.65)" --json "$folder/recall.json"
run needle.py --minutes "$(part 0.35)" --json "$folder/needle.json"
exit $failed
