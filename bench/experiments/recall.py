#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Multi-query associative recall: dense attention, a sliding window of w keys and dynamic masks of w keys, each trained
from scratch by dmattn's kernels. docs/experiments.md describes the task and has the results.

    recall.py --json FILE [--minutes M]     runs what FILE does not have yet
    recall.py --json FILE --write PAGE      puts the table into the page and draws its chart"""
import statistics

from report import cell, chart, machine_line, put, table, verdict
from tasks import Recall
from training import Settings, evaluate, experiment, train

SHRINKING = "dynamic, shrinking"  # w falls from N to its value during the training
KINDS = ("dense", "sliding", "dynamic", SHRINKING)


def plan(quick):
    """Keys of runs. w is a quarter of N. Twice as many keys as pairs leave room for a few wrong ones; as many as pairs
    (as in the paper) leave none."""
    if quick:
        sizes = [(32, 4, 32)]
    else:
        sizes = [(n, n // 8, 128) for n in (512, 1024, 2048)] + [(n, n // 4, 128) for n in (512, 1024, 2048)]
        sizes += [(1024, 128, 64), (1024, 128, 256)]
    return [{"N": n, "w": n // 4, "pairs": pairs, "d": width, "attention": kind} for n, pairs, width in sizes
            for kind in KINDS if kind != SHRINKING or pairs == n // 4]


def make_task(key, quick):
    return Recall(key["pairs"], vocabulary=32 if quick else Recall.vocabulary)


def run(machine, options, key, seconds):
    task = make_task(key, options.quick)
    settings = Settings(key["w"], key["d"], [key["N"]], *((200, 1024, 5e-3) if options.quick else (3000, 16384, 3e-3)),
                        shrink=key["attention"] == SHRINKING)
    settings.steps = options.steps or settings.steps
    model, record = train(machine, task, key["attention"].split(",")[0], settings, options.seeds, seconds)
    accuracy, _ = evaluate(model, task, key["N"], key["w"], 8 * settings.tokens, machine.generator(2))
    print("  accuracy: %s %%" % ", ".join("%.1f" % (100 * a) for a in accuracy))
    return {"accuracy": accuracy, "machine": machine.name(), **record}


# ---- results ---------------------------------------------------------------------------------------------------------

def grouped(runs):
    """Runs by attention, by sizes."""
    groups = {}
    for one in runs:
        key = one["key"]
        groups.setdefault((key["N"], key["d"], key["w"], key["pairs"]), {})[key["attention"]] = one
    return dict(sorted(groups.items(), key=lambda item: (item[0][3] == item[0][2], item[0][1] != 128, *item[0])))


def write(page, runs):
    groups = grouped(runs)
    rows = [[*sizes, *(cell(group.get(kind)) for kind in KINDS)] for sizes, group in groups.items()]
    times = [[*sizes, *("%d, %.1f" % (group[kind]["steps"], group[kind].get("step_ms", 0)) if kind in group else ""
                        for kind in KINDS)] for sizes, group in groups.items()]
    put(page, "recall", [
        verdict([(g["dynamic"], g["sliding"]) for s, g in groups.items()
                 if s[3] < s[2] and {"dynamic", "sliding"} <= set(g)], "w twice the pairs, dynamic"),
        verdict([(g[SHRINKING], g["sliding"]) for s, g in groups.items()
                 if {SHRINKING, "sliding"} <= set(g)], "w equal to the pairs, dynamic with a shrinking w"),
        "Right answers, %: the mean of the seeds (the worst to the best):",
        table(["N", "d", "w", "pairs", *KINDS], rows),
        "Steps, and ms of one step for all seeds together:", table(["N", "d", "w", "pairs", *KINDS], times),
        machine_line(runs)])
    half = {s: g for s, g in groups.items() if s[3] < s[2]}
    usual = statistics.mode(s[1] for s in groups)
    wide = {s[1]: g for s, g in sorted(half.items()) if s[0] == 1024}
    panels = [("w twice the pairs, d = %d" % usual, "N", {s[0]: g for s, g in half.items() if s[1] == usual}),
              ("w equal to the pairs, d = %d" % usual, "N", {s[0]: g for s, g in groups.items() if s[3] == s[2]}),
              ("w twice the pairs, N = 1024", "d", wide if len(wide) > 1 else {})]
    chart(page, "recall", "Multi-query associative recall: right answers, %", machine_line(runs), [
        (title, label, list(points), {kind: [points[x][kind]["accuracy"] if kind in points[x] else None for x in points]
                                      for kind in KINDS}) for title, label, points in panels if points])


def main():
    experiment(__doc__, 5, write, lambda: Recall(32, vocabulary=512), plan, run)


if __name__ == "__main__":
    main()
