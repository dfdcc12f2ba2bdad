#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times PyTorch where the keys of a query lie apart in memory. Prints medians in ms. It needs a CUDA device with about
16 GiB of free memory; compiling takes up to a minute.

- FlexAttention over pages of 128 keys in random order (torch.nn.attention.experimental._paged_attention), called
  directly and as a CUDA graph; its output is compared with dense attention to the first sequence's keys
- dense attention of one query to keys side by side, by cuDNN and FlashAttention-2, as a CUDA graph
- a gather for each query: its random list of 2048 of 32768 keys is copied, then two batched products; measured for 1024
  queries and one kv head, and scaled to 32768 queries and 4 kv heads
"""
import random
import statistics
import sys

try:
    import torch
    import torch.nn.functional as F
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.attention.experimental._paged_attention import PagedAttention
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
except ImportError as error:
    sys.exit(f"gathers.py: {error} ({sys.executable})")

HEADS, KV_HEADS, DIM, PAGE = 16, 4, 128, 128
OPTIONS = {"device": "cuda", "dtype": torch.bfloat16}
flex = torch.compile(flex_attention, dynamic=False)


def median_ms(call, times=20):
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    samples = []
    for _ in range(times):
        begin, end = torch.cuda.Event(True), torch.cuda.Event(True)
        begin.record()
        call()
        end.record()
        torch.cuda.synchronize()
        samples.append(begin.elapsed_time(end))
    return statistics.median(samples)


def graph_of(call):
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def time_pages(batch, keys, queries):
    pages = PagedAttention(batch * keys // PAGE, PAGE, batch, device="cuda")
    random.seed(1)
    random.shuffle(pages.empty_pages)
    for item in range(batch):
        pages.reserve(torch.tensor(item, device="cuda"), torch.tensor(keys, device="cuda"))
    k = torch.randn(1, KV_HEADS, batch * keys, DIM, **OPTIONS)
    v = torch.randn_like(k)
    q = torch.randn(batch, HEADS, queries, DIM, **OPTIONS)
    mask = create_block_mask(lambda b, h, i, j: j <= i + keys - queries, batch, 1, queries, keys, device="cuda",
                             BLOCK_SIZE=(128, PAGE))
    mask = pages.convert_logical_block_mask(mask)

    def attend():
        return flex(q, k, v, block_mask=mask, enable_gqa=True)

    out = attend()
    table = pages.page_table[0, : keys // PAGE].long()
    rows = (table[:, None] * PAGE + torch.arange(PAGE, device="cuda")).flatten()
    visible = torch.ones(queries, keys, device="cuda", dtype=torch.bool).tril(keys - queries)
    expected = F.scaled_dot_product_attention(q[:1], k[:, :, rows], v[:, :, rows], attn_mask=visible, enable_gqa=True)
    error = (out[:1] - expected).abs().max().item()
    print(f"pages: {batch} x {keys} keys, {queries} queries: {median_ms(attend):.4f}, as a graph "
          f"{median_ms(graph_of(attend)):.4f}; largest error {error:.1e}", flush=True)


def time_dense(batch, keys):
    k = torch.randn(batch, KV_HEADS, keys, DIM, **OPTIONS)
    v, q = torch.randn_like(k), torch.randn(batch, HEADS, 1, DIM, **OPTIONS)
    for backend in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION):
        with sdpa_kernel(backend):
            replay = graph_of(lambda: F.scaled_dot_product_attention(q, k, v, enable_gqa=True))
            print(f"side by side: {batch} x {keys} keys, {backend.name}: {median_ms(replay):.4f}", flush=True)


def time_gather(keys=32768, selected=2048, queries=1024):
    k = torch.randn(keys, DIM, **OPTIONS)
    v, q = torch.randn_like(k), torch.randn(queries, HEADS // KV_HEADS, DIM, **OPTIONS)
    lists = torch.randint(0, keys, (queries, selected), device="cuda")
    for chunk in (16, 64, 256):
        def attend():
            for first in range(0, queries, chunk):
                own = lists[first : first + chunk]
                scores = torch.bmm(q[first : first + chunk], k[own].transpose(1, 2)).float() * DIM**-0.5
                torch.bmm(scores.softmax(-1).to(OPTIONS["dtype"]), v[own])

        ms = median_ms(attend, 5)
        print(f"gather, {chunk} queries at a time: {ms:.3f} for {queries} queries and a kv head, "
              f"{ms * keys / queries * KV_HEADS:.0f} for all", flush=True)


def main():
    for sizes in ((64, 32768, 1), (16, 16384, 1), (1, 32768, 2048)):
        time_pages(*sizes)
    for sizes in ((64, 32768), (16, 16384)):
        time_dense(*sizes)
    time_gather()


if __name__ == "__main__":
    main()
