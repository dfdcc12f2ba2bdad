#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What it costs to hand over from PyTorch to dmattn and back, and dynamic mask attention beside PyTorch's dense attention, in
one process on one CUDA device.

    measure.py [--calls N] [--json FILE]"""
import argparse
import json
import pathlib
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import dmattn  # noqa: E402
from dmattn.device import device_at  # noqa: E402


def median(values):
    return sorted(values)[len(values) // 2]


def device_us(run, calls):
    """Median device time of run(), of which the host has enqueued everything before it begins."""
    times = []
    for _ in range(calls):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        torch.cuda._sleep(2000000)  # some 1 ms
        begin.record()
        run()
        end.record()
        end.synchronize()
        times.append(1e3 * begin.elapsed_time(end))
    return median(times)


def wall_us(run, calls):
    """Of calls one behind the other: time a call, and what the host spends on each."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(calls):
        run()
    enqueued = time.perf_counter()
    torch.cuda.synchronize()
    return 1e6 * (time.perf_counter() - began) / calls, 1e6 * (enqueued - began) / calls


def alone_us(run, calls):
    """Median time of a call that the host waits for."""
    times = []
    for _ in range(calls):
        torch.cuda.synchronize()
        began = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append(1e6 * (time.perf_counter() - began))
    return median(times)


def measure_hand_over(calls):
    device = device_at(torch.cuda.current_device())
    nothing = lambda: device.submit(lambda _commands: None)
    for _ in range(50):
        nothing()
    each, host = wall_us(nothing, calls)
    figures = {"each_us": each, "host_us": host, "alone_us": alone_us(nothing, calls), "device_us": device_us(nothing, 50)}
    print("hand-over and back, nothing in between: %(each_us).1f us a call one behind the other, of which the host spends "
          "%(host_us).1f us; %(alone_us).1f us alone with the host waiting; %(device_us).1f us of the device's time" % figures)
    q = torch.zeros(1, 64, 1, 8, device="cuda")
    small = lambda: dmattn.attention(q, q, q)
    for _ in range(50):
        small()
    each, host = wall_us(small, calls)
    figures["small_each_us"], figures["small_host_us"] = each, host
    print("attention of 64 queries, copies to shared memory and all of Python included: %.1f us a call, of which the host "
          "spends %.1f us" % (each, host))
    return figures


def measure_attention(heads, kv_heads, n, dim, window):
    """Milliseconds forward, and forward with backward."""
    make = lambda *shape: torch.randn(*shape, device="cuda", dtype=torch.bfloat16)
    q, k, v = make(1, n, heads, dim), make(1, n, kv_heads, dim), make(1, n, kv_heads, dim)
    dt_weight, a = make(kv_heads, kv_heads * dim) * (kv_heads * dim) ** -0.5, make(kv_heads) * 0.5
    dout = make(1, n, heads, dim)
    in_place = lambda t: dmattn.empty(t.shape, t.dtype).copy_(t)

    def both(attend, inputs, out_gradient):
        inputs = [t.detach().requires_grad_() for t in inputs]
        def step():
            torch.autograd.grad(attend(*inputs), inputs, out_gradient)
        def forward():
            with torch.no_grad():
                attend(*inputs)
        for _ in range(3):
            step()
        return device_us(forward, 20) / 1e3, device_us(step, 20) / 1e3

    dma = lambda q, k, v, dt_weight, a: dmattn.dma_attention(q, k, v, dt_weight=dt_weight, a=a, window=window)
    sdpa = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    inputs = (q, k, v, dt_weight, a)
    rows = {
        "dmattn, tensors in PyTorch's memory": both(dma, inputs, dout),
        "dmattn, tensors in shared memory": both(dma, [in_place(t) for t in inputs], in_place(dout)),
        "PyTorch, dense causal": both(sdpa, [t.transpose(1, 2).contiguous() for t in (q, k, v)],
                                      dout.transpose(1, 2).contiguous()),
    }
    print("bf16, %d heads (%d kv), N = %d, D = %d, w = %d" % (heads, kv_heads, n, dim, window))
    for name, (forward, step) in rows.items():
        print("  %-38s forward %.3f ms, forward and backward %.3f ms" % (name, forward, step))
    return {name: {"forward_ms": forward, "step_ms": step} for name, (forward, step) in rows.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--json")
    options = parser.parse_args()
    if options.calls < 1:
        parser.error("--calls must be at least 1")
    if not torch.cuda.is_available():
        sys.exit("measure.py: PyTorch has no CUDA device here")
    print("%s; PyTorch %s" % (device_at(torch.cuda.current_device()).name, torch.__version__))
    figures = {"hand_over": measure_hand_over(options.calls), "attention": measure_attention(16, 4, 16384, 128, 1024)}
    if options.json:
        with open(options.json, "w") as file:
            json.dump(figures, file, indent=1)


main()
