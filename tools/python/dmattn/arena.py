# SPDX-License-Identifier: MIT
"""Divides large segments of memory, of any kind, into pieces."""
import bisect
import collections

ALIGNMENT = 512


class Segment:
    """A range of memory. `free` lists its free pieces as (offset, size), in order; adjacent ones are merged."""

    def __init__(self, memory, size):
        self.memory, self.size = memory, size
        self.free = [(0, size)]

    def take(self, size):
        """Takes the first free piece that is large enough. Returns its offset, or None."""
        for i, (offset, room) in enumerate(self.free):
            if room >= size:
                if room == size:
                    del self.free[i]
                else:
                    self.free[i] = (offset + size, room - size)
                return offset
        return None

    def give_back(self, offset, size):
        i = bisect.bisect(self.free, (offset, 0))
        if i < len(self.free) and self.free[i][0] == offset + size:
            size += self.free.pop(i)[1]
        if i and sum(self.free[i - 1]) == offset:
            i -= 1
            offset, size = self.free[i][0], self.free.pop(i)[1] + size
        self.free.insert(i, (offset, size))


class Arena:
    """Allocates pieces from segments. Pieces may be returned at any time, even by a garbage collection during allocate(),
    because returning only appends to a list."""

    def __init__(self, make, least):
        self.make, self.least = make, least  # make(size) returns the `memory` of a new segment
        self.segments = []
        self.returned = collections.deque()

    def collect(self):
        while self.returned:
            segment, offset, size = self.returned.popleft()
            segment.give_back(offset, size)

    def allocate(self, size):
        """Returns (segment, offset, size) of a piece of at least `size` bytes. To free it, append it to `returned`."""
        self.collect()
        size = max(-(-size // ALIGNMENT), 1) * ALIGNMENT
        for segment in self.segments:
            offset = segment.take(size)
            if offset is not None:
                return segment, offset, size
        room = max(size, self.least)
        segment = Segment(self.make(room), room)
        self.segments.append(segment)
        return segment, segment.take(size), size

    def drop_unused(self):
        """Removes the unused segments and returns their memory."""
        self.collect()
        unused = [s for s in self.segments if s.free == [(0, s.size)]]
        self.segments = [s for s in self.segments if s not in unused]
        return [s.memory for s in unused]
