# SPDX-License-Identifier: MIT
"""vkbench's masks for PyTorch, by name: the same kinds and sizes, but different random numbers."""
import heapq

import torch

TILE = 64


def top_w_ends(importance, window):
    """For each key, the first query after it that does not see it. A query sees the `window` most important keys up to
    its own position; of two equal keys the later one wins."""
    heap, end = [], [len(importance)] * len(importance)
    for t, x in enumerate(importance):
        heapq.heappush(heap, (x, t))
        if len(heap) > window:
            end[heapq.heappop(heap)[1]] = t
    return end


def visible(head, query, key, offset, own_and_before, tiles, end):
    see = (query >= 0) & (key >= 0)
    if own_and_before:
        see = query + offset >= key
    if tiles is not None:
        see = see & tiles[query // TILE, key // TILE]
    if end is not None:
        see = see & (query < end[head, key])
    return see


class Mask:
    """Which query sees which key; the same for all batch items and for all query heads of a kv head."""

    def __init__(self, case, device):
        self.case, self.device = case, device
        name, _, value = case["mask"].partition(":")
        self.causal = name == "causal" or name.startswith("causal+")
        self.kind = "none" if name == "causal" else name.removeprefix("causal+")
        self.heads, self.queries, self.keys = case["kv_heads"], case["queries"], case["keys"]
        self.offset = self.keys - self.queries  # from a query to its own key
        self.tiles = self.end = self.bias = None
        generator = torch.Generator().manual_seed(1)
        if self.kind == "dense":
            self.tiles = self._random_tiles(float(value), generator).to(device)
        elif self.kind == "interval":
            visible_queries = 1 + torch.randint(2 * int(value), (self.heads, self.keys), generator=generator)
            own = torch.arange(self.keys) - self.offset
            self.end = (own + visible_queries).clamp(0, self.queries).int().to(device)
        elif self.kind == "sliding":
            own = torch.arange(self.keys) - self.offset
            self.end = (own + int(value)).clamp(0, self.queries).int().expand(self.heads, -1).contiguous().to(device)
        elif self.kind == "topw" and self.queries == self.keys:
            importance = torch.randn(self.heads, self.keys, generator=generator)
            ends = [top_w_ends(row.tolist(), int(value)) for row in importance]
            self.end = torch.tensor(ends, dtype=torch.int32, device=device)
            self.bias = importance.to(device)
        elif self.kind != "none":
            raise NotImplementedError(f"no peer supports the mask {case['mask']} with these sizes")

    def _random_tiles(self, fraction, generator):
        """Random tiles; those with a query's own position are always on."""
        rows, columns = -(-self.queries // TILE), -(-self.keys // TILE)
        tiles = torch.rand(rows, columns, generator=generator) < fraction
        for row in range(rows):
            own = torch.arange(row * TILE, min((row + 1) * TILE, self.queries)) + self.offset
            tiles[row, own.clamp(min=0) // TILE] = True
        return tiles

    @property
    def is_plain(self):
        return self.kind == "none"

    def visible(self, head, query, key):
        """Visibility for tensors of query and key indices, which are broadcast."""
        return visible(head, query, key, self.offset, self.causal or self.end is not None, self.tiles, self.end)

    def pairs(self):
        """The number of visible pairs over all heads and batch items."""
        if self.end is not None:
            first = (torch.arange(self.keys, device=self.device) - self.offset).clamp(min=0)
            count = (self.end - first).clamp(min=0).sum().item() / self.heads
        elif self.is_plain:
            most = torch.arange(self.queries) + self.offset + 1 if self.causal else torch.tensor([self.keys])
            count = most.clamp(0, self.keys).sum().item() * (1 if self.causal else self.queries)
        else:
            key = torch.arange(self.keys, device=self.device)
            count = sum(self.visible(0, query[:, None], key).sum().item()
                        for query in torch.arange(self.queries, device=self.device).split(4096))
        return count * self.case["batch"] * self.case["heads"]

    def tensor(self, dtype):
        """The attn_mask: boolean, or numbers if there is a bias. One plane if all heads are equal."""
        query, key = (torch.arange(n, device=self.device) for n in (self.queries, self.keys))
        heads = range(self.heads) if self.end is not None else [0]
        planes = torch.stack([self.visible(h, query[:, None], key) for h in heads])
        if self.bias is not None:
            planes = torch.where(planes, self.bias[:, None, :], float("-inf")).to(dtype)
        return planes.repeat_interleave(self.case["heads"] // len(planes), 0)[None] if len(planes) > 1 else planes[None]

    def tensor_bytes(self, dtype):
        """The size of tensor(), without creating it."""
        heads = self.case["heads"] if self.end is not None else 1
        return heads * self.queries * self.keys * (dtype.itemsize if self.bias is not None else 1)

    def blocks(self, size):
        """For an interval mask: which blocks of size x size have a visible pair, and which have only visible pairs.
        Each is [heads, rows, columns]."""
        rows, columns = -(-self.queries // size), -(-self.keys // size)
        key = torch.arange(self.keys, device=self.device)
        first = (key - self.offset).clamp(min=0)
        up = lambda x: (x + size - 1) // size

        def keys_in_blocks(begin, end):
            """For each row and column of blocks, the number of the column's keys with begin <= row < end."""
            cell = key // size * (rows + 1)
            changes = (torch.bincount(cell + edge, minlength=columns * (rows + 1)).view(columns, rows + 1)
                       for edge in (begin, torch.maximum(begin, end)))
            return next(changes).sub(next(changes)).cumsum(-1)[:, :rows].T
        touched = [keys_in_blocks(first // size, torch.where(end > first, up(end), 0)) > 0 for end in self.end.long()]
        filled = [keys_in_blocks(up(first), end // size) == size for end in self.end.long()]
        return torch.stack(touched), torch.stack(filled)

    def mods(self):
        """FlexAttention's mask_mod and score_mod, and the number of heads of its block mask."""
        group, bias = self.case["heads"] // self.heads, self.bias
        more = self.offset, self.causal or self.end is not None, self.tiles, self.end

        def mask_mod(batch, head, query, key):
            return visible(head // group, query, key, *more)

        def score_mod(score, batch, head, query, key):
            return score + bias[head // group, key]
        return mask_mod, score_mod if bias is not None else None, self.case["heads"] if self.end is not None else None
