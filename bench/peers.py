#!/usr/bin/env python3
"""Times PyTorch's attention on the case that docs/performance.md compares with: causal, B1 H16 N8192 D128.

    python3 bench/peers.py [N] [--pass forward|backward|both]

Needs PyTorch with CUDA. Prints the median of 15 runs of each backend, passes and flops as vkbench has them: backward is
the gradients of q, k and v alone, after a forward run that is not timed.
"""
import argparse

import torch
import torch._functorch.config
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

HEADS, DIM = 16, 128
BACKENDS = {
    torch.float16: (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION),
    torch.float32: (SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH),
}
FLOPS_OF_PASS = {"forward": 1.0, "backward": 2.5, "both": 3.5}  # forward's is the unit

# The backward pass is run again and again on one forward run's results, which compiled code otherwise overwrites.
torch._functorch.config.donated_buffer = False


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


def time_pass(which, attend, inputs, dout):
    if which == "forward":
        with torch.no_grad():
            return median_ms(lambda: attend(*inputs))
    if which == "both":
        return median_ms(lambda: torch.autograd.grad(attend(*inputs), inputs, dout))
    out = attend(*inputs)
    return median_ms(lambda: torch.autograd.grad(out, inputs, dout, retain_graph=True))


def sdpa(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def make_flex(n):
    mask = create_block_mask(lambda batch, head, query, key: query >= key, None, None, n, n, device="cuda")
    compiled = torch.compile(flex_attention)
    return lambda q, k, v: compiled(q, k, v, block_mask=mask)


def report(n, which, dtype, name, attend, tensors):
    flops = 4 * DIM * HEADS * n * (n + 1) / 2 * FLOPS_OF_PASS[which]
    label = f"{str(dtype):14} {name:20}"
    try:
        ms = time_pass(which, attend, tensors[:3], tensors[3])
        print(f"{label} {ms:8.3f} ms {flops / ms * 1e-9:7.1f} TFLOP/s", flush=True)
    except Exception as error:  # what a backend cannot do must not keep the others from being timed
        print(f"{label} failed: {str(error).strip().partition(chr(10))[0]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Times PyTorch's attention, causal, B1 H16 D128.")
    parser.add_argument("n", nargs="?", type=int, default=8192)
    parser.add_argument("--pass", dest="which", choices=FLOPS_OF_PASS, default="forward")
    arguments = parser.parse_args()
    n, which = arguments.n, arguments.which
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, N = {n}, {which}")
    for dtype, backends in BACKENDS.items():
        # q, k, v and dout
        tensors = [torch.randn(1, HEADS, n, DIM, device="cuda", dtype=dtype) for _ in range(4)]
        for tensor in tensors[:3]:
            tensor.requires_grad_()
        for backend in backends:
            with sdpa_kernel(backend):
                report(n, which, dtype, backend.name, sdpa, tensors)
        if dtype == torch.float16:
            report(n, which, dtype, "FlexAttention", make_flex(n), tensors)


if __name__ == "__main__":
    main()
