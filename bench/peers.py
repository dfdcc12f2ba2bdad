#!/usr/bin/env python3
"""Times PyTorch's attention on the case that docs/performance.md compares with: causal, B1 H16 N8192 D128.

    python3 bench/peers.py [N]

Needs PyTorch with CUDA. Prints the median of 15 runs of each backend, flops counted as vkbench counts them.
"""
import sys

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

N = int(sys.argv[1]) if len(sys.argv) > 1 else 8192
HEADS, DIM = 16, 128
BACKENDS = {
    torch.float16: (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION),
    torch.float32: (SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH),
}


def median_ms(run):
    for _ in range(3):
        run()
    times = []
    for _ in range(15):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return sorted(times)[len(times) // 2]


flops = 4 * DIM * HEADS * N * (N + 1) / 2
print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, N = {N}")
for dtype, backends in BACKENDS.items():
    q, k, v = (torch.randn(1, HEADS, N, DIM, device="cuda", dtype=dtype) for _ in range(3))
    for backend in backends:
        with sdpa_kernel(backend):
            ms = median_ms(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True))
        print(f"{str(dtype):14} {backend.name:20} {ms:8.3f} ms {flops / ms * 1e-9:7.1f} TFLOP/s", flush=True)
