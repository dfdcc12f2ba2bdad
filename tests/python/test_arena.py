#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests the arena of tools/python with random operations: pieces never overlap, and freed memory can be allocated again."""
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools/python/dmattn"))
import arena  # noqa: E402

numbers = random.Random(1)
made = []


def make(size):
    made.append(size)
    return len(made)


pool = arena.Arena(make, 1 << 20)
held = []
for step in range(20000):
    if held and numbers.random() < (0.5 if step < 15000 else 0.9):
        pool.returned.append(held.pop(numbers.randrange(len(held)))[0])
    else:
        wanted = numbers.choice((0, 1, 511, 512, 513, 5000, 1 << 17, 3 << 20))
        segment, offset, size = piece = pool.allocate(wanted)
        assert size >= max(wanted, 1) and offset % arena.ALIGNMENT == 0 and offset + size <= segment.size
        assert all(segment is not other or offset + size <= begin or begin + length <= offset
                   for (other, begin, length), _ in held), "pieces overlap"
        held.append((piece, wanted))
    if step % 500 == 0:
        pool.collect()
        for segment in pool.segments:
            used = sum(length for (other, _, length), _ in held if other is segment)
            assert used + sum(length for _, length in segment.free) == segment.size
            assert all(a + n < b for (a, n), (b, _) in zip(segment.free, segment.free[1:])), "adjacent free pieces are not merged"
for piece, _ in held:
    pool.returned.append(piece)
assert sorted(pool.drop_unused()) == list(range(1, len(made) + 1)) and not pool.segments
assert min(made) == 1 << 20 and max(made) == 3 << 20
print("%d segments, all freed" % len(made))
