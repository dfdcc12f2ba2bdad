#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Which kernels of two builds have different SPIR-V:

    same_kernels.py BEFORE AFTER    build folders, compiled by the same shader compiler

A change for some problems must leave the kernels of all others as they were, to the byte: what looks harmless in the
text of a kernel can make it several times slower (docs/notes/experiments.md). Prints one kernel for each line, and exits
with 1 if there are any. Kernels that only one build has are printed, too.
"""
import argparse
import pathlib
import sys


def read_kernels(build):
    """{file name: SPIR-V}"""
    return {path.name: path.read_bytes() for path in (build / "shaders").glob("*.spv")}


def main():
    parser = argparse.ArgumentParser(description="Which kernels of two builds have different SPIR-V.")
    parser.add_argument("before", type=pathlib.Path)
    parser.add_argument("after", type=pathlib.Path)
    options = parser.parse_args()
    before, after = read_kernels(options.before), read_kernels(options.after)
    if not before or not after:
        sys.exit("same_kernels.py: a build folder has no shaders/*.spv")
    changes = 0
    for name in sorted(before | after):
        if name not in before or name not in after:
            print(f"only {'after' if name in after else 'before'}: {name}")
        elif before[name] != after[name]:
            print(f"differs: {name}, {len(before[name])} -> {len(after[name])} bytes")
        else:
            continue
        changes += 1
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main())
