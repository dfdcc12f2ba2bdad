#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a case file of a selector for dmattn-run: random inputs, and the lists by brute force from the definition.

    make_selector_case.py case.safetensors --relu --weights --kv-heads 1
    dmattn-run --check case.safetensors

docs/cases.md describes the file, and dmattn/selector.h the formula. Everything is computed in double precision by loops
over all pairs of a query and a key, with nothing but Python's standard library.
"""
import argparse
import itertools
import math
import random
import sys

from make_case import Tensor, dot, normal, rounded, write_case


def lengths(tensors, b):
    """The numbers of queries and keys of a batch item."""
    queries, keys = tensors["q"].shape[1], tensors["k"].shape[1]
    if "counts" not in tensors:
        return queries, keys
    counts = tensors["counts"].row(b)
    return min(max(counts[0], 0), queries), min(max(counts[1], 0), keys)


def mean(k, b, head, keys):
    """The mean of some keys, rounded to the type."""
    rows = [k.row(b, j, head) for j in keys]
    return rows[0] if len(rows) == 1 else [rounded(k.dtype, math.fsum(x) / len(rows)) for x in zip(*rows)]


def score(tensors, relu, b, t, heads, key):
    """The score of a key or of the mean of a block, for the heads of a list."""
    products = [dot(tensors["q"].row(b, t, h), key) for h in heads]
    weights = [tensors["weights"][b, t, h] if "weights" in tensors else 1 for h in heads]
    return math.fsum(w * (max(x, 0) if relu else x) for w, x in zip(weights, products))


def best(scores, always, count):
    """The numbers of a list. Of equal scores, the lower number is better. Raises ValueError if rounding would decide."""
    order = sorted(scores, key=lambda n: (n not in always, -scores[n], n))
    inside, outside = order[:count], order[count:]
    if outside and inside[-1] not in always:
        least, most = scores[inside[-1]], scores[outside[0]]
        if least != most and abs(least - most) < 1e-4 * max(map(abs, scores.values())):
            raise ValueError("two scores are nearly equal")
    return sorted(inside) + [-1] * (count - len(inside))


def solve(tensors, metadata):
    """The lists of a case."""
    q, k, block, causal = tensors["q"], tensors["k"], int(metadata.get("block", 1)), metadata["causal"] == 1
    lists, count = int(metadata.get("list_heads", k.shape[2])), int(metadata["count"])
    heads = q.shape[2] // lists
    selected = Tensor("I32", (q.shape[0], lists, q.shape[1], count))
    for b, l, t in itertools.product(range(q.shape[0]), range(lists), range(q.shape[1])):
        queries, keys = lengths(tensors, b)
        position, of_list = t + keys - queries, range(l * heads, (l + 1) * heads)
        head, scores, always = l * heads // (q.shape[2] // k.shape[2]), {}, set()
        for n in range((keys + block - 1) // block) if t < queries else ():
            if causal and n * block > position:
                break
            members = range(n * block, min((n + 1) * block, keys))
            scores[n] = score(tensors, metadata.get("relu"), b, t, of_list, mean(k, b, head, members))
            own = position // block
            if n < metadata.get("first", 0) or (position >= 0 and own - metadata.get("recent", 0) < n <= own):
                always.add(n)
        start = selected.at((b, l, t)) * count
        selected.data[start:start + count] = best(scores, always, count)
    return {"selected": selected}


def random_inputs(rng, o):
    dtype = o.type.upper()
    tensors = {"q": normal(rng, dtype, (o.batch, o.queries, o.heads, o.head_dim)),
               "k": normal(rng, dtype, (o.batch, o.keys, o.kv_heads, o.head_dim))}
    if o.weights:
        tensors["weights"] = normal(rng, "F32", (o.batch, o.queries, o.heads))
    if o.counts:
        counts = [rng.randrange(1, most + 1) for _ in range(o.batch) for most in (o.queries, o.keys)]
        tensors["counts"] = Tensor("I32", (o.batch, 2), counts)
    if o.repeat:  # keys that are equal, so that scores are
        row = o.kv_heads * o.head_dim
        tensors["k"].data[o.repeat * row:] = (tensors["k"].data[:o.repeat * row] * o.keys)[:(o.keys - o.repeat) * row]
    return tensors


def parse():
    parser = argparse.ArgumentParser(description="Writes a random case of a selector for dmattn-run, with its lists.",
                                     epilog="docs/cases.md describes the file.")
    add = parser.add_argument
    add("file", metavar="FILE.safetensors")
    add("--type", choices=("f32", "f16", "bf16"), default="f32", help="of q and k (default: f32)")
    for name, default, what in (("batch", 1, "batch items"), ("queries", 20, "queries"), ("keys", 30, "keys"),
                                ("heads", 4, "query heads"), ("kv-heads", 1, "heads of k"),
                                ("list-heads", None, "lists of a query; by default as many as heads of k"),
                                ("head-dim", 8, "dimension of q and k"), ("count", 7, "numbers of a list"),
                                ("block", None, "keys of a block"), ("first", None, "first numbers that are always listed"),
                                ("recent", None, "latest numbers that are always listed"),
                                ("repeat", None, "different keys; others are equal to these")):
        add("--" + name, type=int, default=default, metavar="N",
            help=what + (" (default: %s)" % default if default else ""))
    add("--causal", type=int, choices=(0, 1), default=1, help="1 (default): a query sees no later key")
    add("--relu", action="store_true", help="negative products count as 0")
    add("--weights", action="store_true", help="each query head has a weight")
    add("--counts", action="store_true", help="items have their own numbers of queries and keys")
    add("--seed", type=int, default=1, help="of the random numbers (default: 1)")
    return parser.parse_args()


def main():
    o = parse()
    names = ("list_heads", "block", "first", "recent")
    metadata = {"op": "selector", "causal": o.causal, "count": o.count,
                **{name: getattr(o, name) for name in names if getattr(o, name) is not None}}
    if o.relu:
        metadata["relu"] = 1
    for seed in itertools.count(o.seed):
        tensors = random_inputs(random.Random(seed), o)
        try:
            results = solve(tensors, metadata)
        except ValueError as error:
            print("seed %d: %s; trying the next one" % (seed, error), file=sys.stderr)
            continue
        write_case(o.file, {**tensors, **results}, metadata)
        return


if __name__ == "__main__":
    main()
