#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a case file of block lists for dmattn-run: random blocks, and the lists from the definition.

    make_block_lists_case.py case.safetensors --bits
    dmattn-run --check case.safetensors

docs/cases.md describes the file, and dmattn/block_lists.h the forms.
"""
import argparse
import itertools
import random
import sys

from make_case import Tensor, write_case


def row_lists(tensors, metadata, plane, query):
    """The numbers of a query, before they are cut to `count`, and the number that stands for nothing: None."""
    row, r = divmod(query, metadata["query_block"])
    keys, size = metadata["keys"], metadata["block"]
    blocks = -(-keys // size)
    if "map" in tensors and metadata.get("packed"):
        return [n for n in range(blocks) if tensors["map"].row(*plane, row)[n // 8] >> n % 8 & 1]
    if "map" in tensors:
        return [n for n, visible in enumerate(tensors["map"].row(*plane, row)) if visible]
    indptr, indices = tensors["indptr"].row(*plane), tensors["indices"].data
    begin = min(max(indptr[row], 0), len(indices))
    end = min(max(indptr[row + 1], begin), len(indices))
    entries = [(i, indices[i] if 0 <= indices[i] < blocks else None) for i in range(begin, end)]
    if "bits" not in tensors:
        return [block for _, block in entries]
    numbers = []
    for (i, block), c in itertools.product(entries, range(size)):
        bit = (i * metadata["query_block"] + r) * size + c
        sees = block is not None and block * size + c < keys and tensors["bits"].data[bit // 8] >> bit % 8 & 1
        numbers.append(block * size + c if sees else None)
    return numbers


def solve(tensors, metadata):
    """The lists of a case."""
    planes = tensors["map" if "map" in tensors else "indptr"].shape[:2]
    selected = Tensor("I32", planes + (metadata["queries"], metadata["count"]))
    data = []
    for b, h, t in itertools.product(*map(range, planes), range(metadata["queries"])):
        numbers = row_lists(tensors, metadata, (b, h), t)[:metadata["count"]]
        data += [-1 if n is None else n for n in numbers] + [-1] * (metadata["count"] - len(numbers))
    selected.data = data
    return {"selected": selected}


def random_inputs(rng, o):
    rows, blocks = -(-o.queries // o.query_block), -(-o.keys // o.block)
    if o.packed:
        shape = (o.batch, o.heads, rows, -(-blocks // 8))
        return {"map": Tensor("U8", shape, [rng.randrange(256) for _ in range(o.batch * o.heads * rows * shape[3])])}
    if o.map:
        shape = (o.batch, o.heads, rows, blocks)
        return {"map": Tensor("U8", shape, [rng.randrange(3) == 0 for _ in range(o.batch * o.heads * rows * blocks)])}
    indptr, indices = [], []
    for _ in range(o.batch * o.heads):
        indptr.append(len(indices))
        for _ in range(rows):
            indices += rng.sample(range(blocks), rng.randrange(blocks + 1))
            indptr.append(len(indices))
    indices += [-1, blocks]  # numbers of no block, in no row unless an offset is changed
    indptr[1] += 2
    tensors = {"indptr": Tensor("I32", (o.batch, o.heads, rows + 1), indptr),
               "indices": Tensor("I32", (len(indices),), indices)}
    if o.bits:
        words = len(indices) * o.query_block * o.block // 8
        tensors["bits"] = Tensor("U8", (len(indices), words // len(indices)), [rng.randrange(256) for _ in range(words)])
    return tensors


def main():
    parser = argparse.ArgumentParser(description="Writes a random case of block lists for dmattn-run, with its lists.",
                                     epilog="docs/cases.md describes the file.")
    parser.add_argument("file", metavar="FILE.safetensors")
    for name, default, what in (("batch", 2, "batch items"), ("heads", 1, "heads"), ("queries", 40, "queries"),
                                ("keys", 50, "keys"), ("query-block", 8, "queries of a block"),
                                ("block", 4, "keys of a block"), ("count", 12, "numbers of a list")):
        parser.add_argument("--" + name, type=int, default=default, metavar="N", help="%s (default: %d)" % (what, default))
    parser.add_argument("--map", action="store_true", help="a map of blocks instead of block-sparse rows")
    parser.add_argument("--packed", action="store_true", help="a map with a bit for each block")
    parser.add_argument("--bits", action="store_true", help="a bit for each pair of a block of rows")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers (default: 1)")
    o = parser.parse_args()
    if o.bits and (o.map or o.packed or o.query_block * o.block % 32 or o.count % o.block):
        parser.error("--bits needs rows, a multiple of 32 pairs in a block, and a --count of whole blocks")
    metadata = {"queries": o.queries, "keys": o.keys, "query_block": o.query_block, "block": o.block, "count": o.count}
    if o.packed:
        metadata["packed"] = 1
    tensors = random_inputs(random.Random(o.seed), o)
    write_case(o.file, {**tensors, **solve(tensors, metadata)}, {"op": "block_lists", **metadata})


if __name__ == "__main__":
    sys.exit(main())
