#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the cost of a hand-over from PyTorch to dmattn and back, and compares dynamic mask attention with the dense attention
of PyTorch, in one process on one CUDA device.

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
    """Median device time of run(), with everything enqueued before the device begins."""
    times = []
    for _ in range(calls):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        torch.cuda._sleep(2000000)  # about 1 ms
        begin.record()
        run()
        end.record()
        end.synchronize()
        times.append(1e3 * begin.elapsed_time(end))
    return median(times)


def each_us(run, calls):
    """Time per call, of calls enqueued without waiting."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(calls):
        run()
    torch.cuda.synchronize()
    return 1e6 * (time.perf_counter() - began) / calls


def alone_us(run, calls):
    """Medians of single calls: the whole time, and the time to enqueue. The host waits for the end of each call.
    Otherwise the queue would soon be full, and the time to enqueue would include waiting."""
    whole, host = [], []
    for _ in range(calls):
        torch.cuda.synchronize()
        began = time.perf_counter()
        run()
        enqueued = time.perf_counter()
        torch.cuda.synchronize()
        whole.append(1e6 * (time.perf_counter() - began))
        host.append(1e6 * (enqueued - began))
    return median(whole), median(host)


def measure_calls(run, calls):
    for _ in range(50):
        run()
    alone, host = alone_us(run, calls)
    return {"each_us": each_us(run, calls), "alone_us": alone, "host_us": host, "device_us": device_us(run, 50)}


def measure_hand_over(calls):
    device = device_at(torch.cuda.current_device())
    q = torch.zeros(1, 64, 1, 8, device="cuda")
    figures = {
        "hand-over to dmattn and back, empty": measure_calls(lambda: device.submit(lambda _commands: None), calls),
        "attention of 64 queries, copied to shared memory": measure_calls(lambda: dmattn.attention(q, q, q), calls),
    }
    for name, times in figures.items():
        print(name + ": %(each_us).1f us per call if enqueued without waiting; if the host waits for each, %(alone_us).1f us, "
              "%(host_us).1f us of it to enqueue; %(device_us).1f us of device time" % times)
    return figures


def measure_attention(heads, kv_heads, n, dim, window):
    """Milliseconds of forward, and of forward and backward together."""
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
        sys.exit("measure.py: PyTorch finds no CUDA device")
    print("%s; PyTorch %s" % (device_at(torch.cuda.current_device()).name, torch.__version__))
    figures = {"hand_over": measure_hand_over(options.calls), "attention": measure_attention(16, 4, 16384, 128, 1024)}
    if options.json:
        with open(options.json, "w") as file:
            json.dump(figures, file, indent=1)


main()
