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


# ---- hand-overs ------------------------------------------------------------------------------------------------------

def layer_table(layers):
    """Layers measured by handover.py. `rest` is the time without the work of Vulkan, in percent."""
    rows = []
    for layer in layers:
        for way, figures in layer["ways"].items():
            row = [layer["N"], layer["w"], way]
            for one in (figures["forward"], figures["step"]):
                row += [one["runs"], "%.2f" % one["ms"], "%.2f" % one["vulkan_ms"],
                        "%.0f" % (100 * max(1 - one["vulkan_ms"] / one["ms"], 0)), "%.0f" % one["host_us"]]
            rows.append(row)
    part = ["Vulkan", "rest, %", "host, µs"]
    return table(["N", "w", "importance", "runs", "forward", *part, "runs", "both", *part], rows)


def between_table(rows):
    return table(["work of PyTorch", "alone, ms", "with an empty run, ms", "more, ms"],
                 [[row["work"], "%.3f" % row["ms"], "%.3f" % row["with_run_ms"],
                   "%.3f" % (row["with_run_ms"] - row["ms"])] for row in rows])


def write_layers(page, results):
    tables = [layer_table(results["layers"]), between_table(results["between"])]
    put(page, "hand-overs", [*tables, results["machine"] + "."], drawn=False)


# ---- pages -----------------------------------------------------------------------------------------------------------

WRITERS = {"steps": write_steps, "layers": write_layers}  # by what the file has


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
