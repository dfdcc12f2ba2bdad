#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs a command on a device of tools/shim; without the modern root, or before tools/shim has put its libraries there, the
# test is skipped. Arguments: tools/shim DEVICE COMMAND...
set -euo pipefail
if ! [ -f /.dmattn-stamp ] || ! [ -d /opt/shim ]; then
    echo "dmattn tests: no device (in the root of tools/sandbox, after a run of tools/shim, there are some)"
    exit 0
fi
exec "$@"
