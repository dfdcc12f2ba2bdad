#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# All tests of the package for PyTorch on a CUDA device, with transformers if it is installed, and the times of a Doge
# and its layers.
#   tests/python/on_cuda.sh BUILD     a build with -DBUILD_SHARED_LIBS=ON of the targets dmattn and dmattn-generate
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "${1:?"usage: on_cuda.sh BUILD"}" && pwd) || exit 2
library=$(find "$build" -maxdepth 1 -name 'libdmattn.so*' | sort | head -n 1)
[ -n "$library" ] || { echo "on_cuda.sh: $build has no libdmattn.so" >&2; exit 2; }
export DMATTN_LIBRARY=$library LD_LIBRARY_PATH=$build:${LD_LIBRARY_PATH-}
[ -x "$build/dmattn-generate" ] && export DMATTN_GENERATE=$build/dmattn-generate
python3 -c 'import torch; assert torch.cuda.is_available()' || { echo "on_cuda.sh: no CUDA device" >&2; exit 2; }

failed=0
run() {
    printf '\n== %s ==\n' "$*"
    time python3 -B "$@" || { echo "FAILED: $*"; failed=1; }
}
run "$here/test_operators.py"
run "$here/test_transformers.py"
run "$here/test_handover.py"
run "$here/../../tools/python/measure_doge.py" --lengths 2048,8192,32768
run "$here/../../bench/experiments/handover.py"
exit $failed
