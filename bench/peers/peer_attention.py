# SPDX-License-Identifier: MIT
"""Implementations of attention in PyTorch (peers), and their timing."""
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

try:  # keeps the forward results, on which backward runs repeatedly; compiled code would overwrite them
    import torch._functorch.config
    torch._functorch.config.donated_buffer = False
except (ImportError, AttributeError):
    pass

GRAPH_CALLS = 20
MASK_BYTES_MOST = 8 << 30  # of a mask tensor for SDPA
BLOCK = 128  # block size of FlexAttention's masks


class Timer:
    """Measures milliseconds of runs, until a deadline."""

    def __init__(self, device, deadline):
        self.cuda, self.deadline = device == "cuda", deadline

    def is_over(self):
        return time.monotonic() > self.deadline

    def once(self, run):
        if not self.cuda:
            began = time.perf_counter()
            run()
            return 1e3 * (time.perf_counter() - began)
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda._sleep(3000000)  # about 1.5 ms, during which the host launches everything that is timed
        begin.record()
        run()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    def samples(self, run):
        warm = [self.once(run) for _ in range(3)]
        return [self.once(run) for _ in range(max(7, min(50, int(1000 / max(warm[-1], 1e-3)))))]

    def samples_of_graph(self, graph):
        """Milliseconds of one call in the graph. Replays are back to back, without the host between them."""
        warm = [self.once(graph.replay) for _ in range(3)]
        count = max(30, min(100, int(1000 / max(warm[-1], 1e-3))))
        events = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
        torch.cuda._sleep(3000000)
        events[0].record()
        for event in events[1:]:
            graph.replay()
            event.record()
        events[-1].synchronize()
        return [begin.elapsed_time(end) / GRAPH_CALLS for begin, end in zip(events, events[1:])]


def capture(attend, inputs):
    """A CUDA graph of GRAPH_CALLS calls, which has run once."""
    for _ in range(3):
        attend(*inputs)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(GRAPH_CALLS):
            attend(*inputs)
    graph.replay()
    return graph


def first_line(error):
    return f"{type(error).__name__}: {error}".strip().partition("\n")[0][:200]


class Peer:
    """An implementation of attention. prepare() returns the function attend(q, k, v)."""
    kernel = ""

    def __init__(self, name):
        self.name = name

    def takes(self, mask):
        return mask.is_plain and not (mask.causal and mask.offset)  # PyTorch aligns causal masks at the first key, vkbench at the last

    def input_bytes(self, mask, dtype):
        """Bytes of inputs besides q, k and v."""
        return 0


class Sdpa(Peer):
    """scaled_dot_product_attention with a backend; None: PyTorch selects it."""

    def __init__(self, name, backend):
        super().__init__(name)
        self.backend = backend

    def call(self, q, k, v, **more):
        if k.shape[1] != q.shape[1]:
            more["enable_gqa"] = True
        if self.backend is None:
            return F.scaled_dot_product_attention(q, k, v, **more)
        with sdpa_kernel(self.backend):
            return F.scaled_dot_product_attention(q, k, v, **more)

    def prepare(self, mask, inputs):
        more = {"is_causal": True} if mask.causal else {}
        group = mask.case["heads"] // mask.case["kv_heads"]
        self.kernel = f"sdpa {self.name}"
        try:
            with torch.no_grad():
                self.call(*inputs, **more)
        except RuntimeError:  # the backend may need as many key heads as query heads
            if group == 1:
                raise
            self.kernel += ", k and v repeated for each query head"
            wide = lambda x: x.repeat_interleave(group, 1)
            return lambda q, k, v: self.call(q, wide(k), wide(v), **more)
        return lambda q, k, v: self.call(q, k, v, **more)


class SdpaMask(Sdpa):
    """SDPA with the mask (and the importance, if any) as a tensor; PyTorch selects the backend."""

    def __init__(self):
        super().__init__("sdpa_mask", None)

    def takes(self, mask):
        return not mask.is_plain

    def input_bytes(self, mask, dtype):
        return mask.tensor_bytes(dtype)

    def prepare(self, mask, inputs):
        if mask.tensor_bytes(inputs[0].dtype) > MASK_BYTES_MOST:
            raise NotImplementedError(f"its mask would take {mask.tensor_bytes(inputs[0].dtype) / 2**30:.0f} GiB")
        tensor = mask.tensor(inputs[0].dtype)
        self.kernel = "sdpa with a mask"
        return lambda q, k, v: self.call(q, k, v, attn_mask=tensor)


def block_mask_of_intervals(mask, mask_mod):
    """The result of create_block_mask for sizes at which it fails, because it evaluates every pair of query and key."""
    def indices(blocks):  # per row: the number of set blocks, and the columns with the set ones first
        blocks = blocks.repeat_interleave(mask.case["heads"] // mask.heads, 0)[None]
        order = blocks.to(torch.int8).argsort(dim=-1, descending=True, stable=True)
        return blocks.sum(-1, dtype=torch.int32), order.int()
    touched, filled = mask.blocks(BLOCK)
    return BlockMask.from_kv_blocks(*indices(touched & ~filled), *indices(filled), BLOCK_SIZE=BLOCK, mask_mod=mask_mod,
                                    seq_lengths=(mask.queries, mask.keys))


class Flex(Peer):
    """FlexAttention, compiled on CUDA, with a block mask that is created once."""

    def takes(self, mask):
        return not mask.is_plain and (mask.end is not None or not self.is_large(mask))

    def is_large(self, mask):
        return mask.queries * mask.keys >= 1 << 33  # create_block_mask fails from there on

    def prepare(self, mask, inputs):
        mask_mod, score_mod, heads = mask.mods()
        sizes = None, heads, mask.queries, mask.keys
        attention, create = flex_attention, create_block_mask
        if mask.device == "cuda":  # without compilation they create tensors of queries x keys
            torch._dynamo.reset()  # otherwise the recompilation limit disables compilation
            attention, create = (torch.compile(f, dynamic=False) for f in (flex_attention, create_block_mask))
        if self.is_large(mask):
            self.mask_kernel = "block mask from intervals, bench/peers/peer_masks.py"
            self.make_mask = lambda: block_mask_of_intervals(mask, mask_mod)
        else:
            self.mask_kernel = "create_block_mask"
            self.make_mask = lambda: create(mask_mod, *sizes, device=mask.device)
        try:
            block_mask = self.make_mask()
        except Exception as error:
            if self.is_large(mask):
                raise
            print(f"compiled create_block_mask failed: {first_line(error)}; with _compile", flush=True)
            self.make_mask = lambda: create_block_mask(mask_mod, *sizes, device=mask.device, _compile=True)
            block_mask = self.make_mask()
        self.kernel = "flex_attention with a block mask"
        more = {"enable_gqa": True} if mask.case["heads"] != mask.case["kv_heads"] else {}
        return lambda q, k, v: attention(q, k, v, score_mod=score_mod, block_mask=block_mask, **more)


def peers_of(device):
    """The peers that start quickly, and those that compile first."""
    if device != "cuda":
        return [Sdpa("math", SDPBackend.MATH), SdpaMask()], [Flex("flex")]
    quick = [Sdpa("cudnn", SDPBackend.CUDNN_ATTENTION), Sdpa("flash2", SDPBackend.FLASH_ATTENTION), SdpaMask()]
    return quick, [Flex("flex")]
