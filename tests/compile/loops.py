#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What Intel's compiler estimates for one round of each loop of the kernels:

    loops.py PROGRAM DEVICE [TEXT]    of the kernels with TEXT in their kernel's or plan's name

PROGRAM is dmattn_pipeline_statistics, DEVICE one of tools/shim by Intel; the plans are those of --few.

The driver's estimate of a kernel counts ten rounds for each loop, whatever its real number. So it says nothing about two
kernels of which one has a loop that the other does not have. Here, the cycles of a loop are those of one round, without
the loops in it, so that they can be multiplied by the real numbers of rounds (docs/notes/compilers.md).
"""
import argparse
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROUNDS = 10  # the driver's number for every loop

HEAD = re.compile(r"SIMD\d+ shader: \d+ instructions")
START = re.compile(r"\s+START B(\d+).*\((\d+) cycles\)")
END = re.compile(r"\s+END B\d+(.*)")
ROW = re.compile(r',?\["(\w+)", "\w+", "([^"]*)", (\d+),')


def kernels(lines):
    """(kernel, plan, subgroup, blocks) of what the program prints. A block is (number, cycles, numbers of the next)."""
    blocks = []
    for line in lines:
        start, end, row = START.match(line), END.match(line), ROW.match(line)
        if HEAD.match(line):
            blocks = []
        elif start:
            blocks.append((int(start.group(1)), int(start.group(2)), []))
        elif end and blocks:
            blocks[-1][2].extend(int(number) for number in re.findall(r"->B(\d+)", end.group(1)))
        elif row:
            yield row.group(1), row.group(2), int(row.group(3)), blocks


def loops_of(blocks):
    """(depth, first block, last block, cycles of a round without inner loops), outer loops first; depth 0: no loop."""
    place = {number: i for i, (number, _, _) in enumerate(blocks)}
    ends = {}  # the last block of the loop that begins with a block
    for i, (_, _, following) in enumerate(blocks):
        for number in following:
            if place.get(number, i + 1) <= i:
                ends[place[number]] = i
    spans = [(0, len(blocks) - 1)] + sorted(ends.items())
    cycles = dict.fromkeys(range(len(spans)), 0.0)
    for i, (_, estimate, _) in enumerate(blocks):
        around = [k for k, (first, last) in enumerate(spans) if k and first <= i <= last]
        cycles[around[-1] if around else 0] += estimate / ROUNDS ** len(around)
    for k, (first, last) in enumerate(spans):
        depth = sum(1 for a, b in spans[1:k + 1] if a <= first and last <= b) if k else 0
        yield depth, blocks[first][0], blocks[last][0], round(cycles[k])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", metavar="PROGRAM")
    parser.add_argument("device", metavar="DEVICE")
    parser.add_argument("text", metavar="TEXT", nargs="?", default="")
    options = parser.parse_args()
    command = [ROOT / "tools" / "shim", options.device, "env", "INTEL_DEBUG=cs,perf", options.program, "--few"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace") as run:
        for kernel, plan, subgroup, blocks in kernels(run.stdout):
            if blocks and (options.text in kernel or options.text in plan):
                print("%s | %s | subgroup %d" % (kernel, plan, subgroup))
                for depth, first, last, cycles in loops_of(blocks):
                    print("%s%s: %d cycles" % ("    " * (depth + 1),
                                               "blocks %d to %d" % (first, last) if depth else "once", cycles))
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
