# SPDX-License-Identifier: MIT
"""Pieces of large segments of memory. Knows nothing of what the memory is."""
import bisect
import collections

ALIGNMENT = 512


class Segment:
    """A range of memory of which pieces are free: `free` holds (offset, size) of each, in order, none touching the next."""

    def __init__(self, memory, size):
        self.memory, self.size = memory, size
        self.free = [(0, size)]

    def take(self, size):
        """The offset of a piece, the first that is large enough; None: there is none."""
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
    """Segments, and pieces that are given back from anywhere: even a garbage collection in the middle of allocate() only
    notes them down."""

    def __init__(self, make, least):
        self.make, self.least = make, least  # make(size) gives what a segment's `memory` is
        self.segments = []
        self.returned = collections.deque()

    def collect(self):
        while self.returned:
            segment, offset, size = self.returned.popleft()
            segment.give_back(offset, size)

    def allocate(self, size):
        """(segment, offset, size) of a piece of at least `size` bytes; append it to `returned` to give it back."""
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
        """Forgets the segments of which nothing is in use, and returns their memory."""
        self.collect()
        unused = [s for s in self.segments if s.free == [(0, s.size)]]
        self.segments = [s for s in self.segments if s not in unused]
        return [s.memory for s in unused]
