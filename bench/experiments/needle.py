#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Needles in a haystack: dense attention, a sliding window of w keys and dynamic masks of w keys, each trained from
scratch by dmattn's kernels, then evaluated by depth and at longer texts. docs/experiments.md has the results.

    needle.py --json FILE [--minutes M]     runs what FILE does not have yet
    needle.py --json FILE --write PAGE      puts the tables into the page and draws their chart"""
from model import KINDS
from report import cell, chart, machine_line, put, table, verdict
from tasks import Needles
from training import DEPTHS, Settings, evaluate, experiment, train


def make_task(quick):
    return Needles(count=4, vocabulary=32) if quick else Needles()


def plan(quick):
    n, w, width, longer = (64, 16, 32, [128]) if quick else (2048, 64, 128, [4096, 8192, 16384])
    return [{"N": n, "w": w, "d": width, "longer": longer, "attention": kind} for kind in KINDS]


def run(machine, options, key, seconds):
    """The text doubles three times during the training, because with long texts alone few needles are seen at first."""
    task, n = make_task(options.quick), key["N"]
    settings = Settings(key["w"], key["d"], [n] if options.quick else [n // 8, n // 4, n // 2, n],
                        *((300, 1024, 5e-3) if options.quick else (6000, 16384, 3e-3)))
    settings.steps = options.steps or settings.steps
    model, record = train(machine, task, key["attention"], settings, options.seeds, seconds)
    lengths = {}
    for length in (n, *key["longer"]):
        accuracy, depths = evaluate(model, task, length, key["w"], 16 * max(settings.tokens, 2 * length),
                                    machine.generator(2))
        lengths[str(length)] = {"accuracy": accuracy, "depths": depths}
        print("  accuracy at N = %d: %s %%" % (length, ", ".join("%.1f" % (100 * a) for a in accuracy)), flush=True)
    return {"accuracy": lengths[str(n)]["accuracy"], "lengths": lengths, "machine": machine.name(), **record}


# ---- results ---------------------------------------------------------------------------------------------------------

def write(page, runs):
    by_kind = {one["key"]["attention"]: one for one in runs}
    kinds = [kind for kind in KINDS if kind in by_kind]
    key = runs[0]["key"]
    lengths = [key["N"], *key["longer"]]
    at = lambda kind, length: by_kind[kind]["lengths"][str(length)]
    put(page, "needle", [
        verdict([({"accuracy": at("dynamic", n)["accuracy"]}, {"accuracy": at("sliding", n)["accuracy"]})
                 for n in lengths] if {"dynamic", "sliding"} <= set(kinds) else [], "dynamic"),
        "Right answers by the length of the text, %%: the mean of the seeds (the worst to the best). Trained at "
        "N = %d, w = %d, d = %d:" % (key["N"], key["w"], key["d"]),
        table(["N", *kinds], [[n, *(cell(at(kind, n)) for kind in kinds)] for n in lengths]),
        "Steps, and ms of one step for all seeds together: %s." % "; ".join(
            "%s %d, %.1f" % (kind, by_kind[kind]["steps"], by_kind[kind].get("step_ms", 0)) for kind in kinds),
        machine_line(runs)])
    panels = [("by depth, N = %d, w = %d" % (n, key["w"]), "depth of the needle, % of the text",
               ["%d" % (100 * i // DEPTHS) for i in range(DEPTHS)],
               {kind: [list(seeds) for seeds in zip(*at(kind, n)["depths"])] for kind in kinds})
              for n in (lengths[0], lengths[min(2, len(lengths) - 1)])]
    panels.append(("by length", "N", lengths, {kind: [at(kind, n)["accuracy"] for n in lengths] for kind in kinds}))
    chart(page, "needle", "Needles in a haystack: right answers, %", machine_line(runs), panels)


def main():
    experiment(__doc__, 2.5, write, Needles, plan, run)


if __name__ == "__main__":
    main()
