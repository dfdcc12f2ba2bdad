#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Puts results into docs/doge.md: those of tools/python/measure_doge.py, with a chart, and those of handover.py. Needs
no PyTorch.

    doge.py --write PAGE FILE..."""
import argparse
import json
import pathlib

from report import chart, put, table

KINDS = ("dmattn", "eager", "sdpa")


# ---- steps of a model ------------------------------------------------------------------------------------------------

def gib(size):
    return size / 2 ** 30


def step_table(steps):
    """Steps by length (the JSON of measure_doge.py has the lengths as strings), by kind; None: out of memory."""
    rows = []
    for length, row in steps.items():
        cells = [("%.0f" % row[kind]["ms"], "%.1f" % gib(row[kind]["bytes"])) if row[kind] else ("out of memory", "")
                 for kind in KINDS]
        rows.append([length, *(text for pair in cells for text in pair)])
    return table(["N", *(text for kind in KINDS for text in (kind + ", ms", "GiB"))], rows)


def round_up(value):
    """The end of an axis: a multiple of 5, 50, 500 and so on."""
    unit = 5
    while value > 10 * unit:
        unit *= 10
    return -int(-value // unit) * unit


def step_panel(title, steps, value):
    series = {kind: [[value(row[kind])] if row[kind] else None for row in steps.values()] for kind in KINDS}
    most = max(points[0] for line in series.values() for points in line if points)
    return title, "N", list(steps), series, round_up(most)


def write_steps(page, results):
    steps, about = results["steps"], "%s; %s" % (results["machine"], results["model"])
    put(page, "training-step", [step_table(steps), about + "; batch 1, bf16."], "A training step of a Doge")
    chart(page, "training-step", "A training step of a Doge", about,
          [step_panel("time, ms", steps, lambda one: one["ms"]),
           step_panel("memory, GiB", steps, lambda one: gib(one["bytes"]))])


# ---- pages -----------------------------------------------------------------------------------------------------------

WRITERS = {"steps": write_steps}  # by what the file has


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", metavar="PAGE", required=True)
    parser.add_argument("files", nargs="+", metavar="FILE")
    options = parser.parse_args()
    for name in options.files:
        results = json.loads(pathlib.Path(name).read_text(encoding="utf-8"))
        kinds = [kind for kind in WRITERS if kind in results]
        if not kinds:
            parser.error("%s has none of: %s" % (name, ", ".join(WRITERS)))
        WRITERS[kinds[0]](options.write, results)


if __name__ == "__main__":
    main()
