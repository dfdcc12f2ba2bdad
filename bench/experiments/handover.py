#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures what hand-overs between CUDA and Vulkan cost a layer of a Doge of 160M's shape (6 heads, 3 kv, D = 128,
bf16, w = min(2048, N/2)) on one CUDA device, in three ways:

    one run                 dmattn computes importance, mask and attention in one run
    importance by PyTorch   as dmattn.transformers does, to round like the model
    a run more              one run, and an empty run before it, forward and backward

The work of Vulkan is then run again, alone and between two timestamps. The rest of the time is hand-overs and work of
PyTorch. doge.py puts the file of results into docs/doge.md.

    handover.py [--lengths N,N,...] [--calls N] [--quick] [--json FILE]"""
import argparse
import contextlib
import json
import pathlib
import sys
import time
from ctypes import byref, c_double

import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools/python"))
import dmattn  # noqa: E402
from dmattn import native  # noqa: E402
from dmattn.device import device_at  # noqa: E402
from doge import between_table, layer_table  # noqa: E402

HEADS, KV_HEADS, DIM, TYPE = 6, 3, 128, torch.bfloat16
WAYS = ("one run", "importance by PyTorch", "a run more")


class Machine:
    def __init__(self):
        self.cuda = torch.cuda.is_available()  # if not: tests with a CPU's Vulkan
        self.device = device_at(torch.cuda.current_device())
        self.name = "%s; PyTorch %s" % (self.device.name, torch.__version__)

    def make(self, *shape):
        return torch.randn(*shape, device="cuda" if self.cuda else "cpu").to(TYPE)

    def wait(self):
        """Waits for PyTorch and dmattn. On CUDA the streams wait for dmattn's runs."""
        if self.cuda:
            torch.cuda.synchronize()
        else:
            self.device._synchronize()

    def empty_run(self):
        self.device.submit(lambda _commands: None)

    @contextlib.contextmanager
    def alone(self):
        """Runs of dmattn are executed alone, and the host waits for them. Gives the list of their times in ms."""
        device, library, times = self.device, self.device.library, []

        def submit_alone(record):
            self.wait()
            commands, seconds = native.Commands(), c_double()
            library.commands_begin(device.handle, byref(commands))
            try:
                library.commands_timestamp(device.handle, 0)
                record(commands)
                library.commands_timestamp(device.handle, 1)
                library.commands_submit(device.handle)
            except BaseException:
                library.commands_cancel(device.handle)
                raise
            library.elapsed(device.handle, 0, 1, byref(seconds))
            times.append(1e3 * seconds.value)

        device.submit = submit_alone
        try:
            yield times
        finally:
            del device.submit  # the method is back


# ---- times -----------------------------------------------------------------------------------------------------------

def median(values):
    return sorted(values)[len(values) // 2]


def each_ms(machine, run, calls):
    """Time per call, of calls that are enqueued without waiting; the median of three series."""
    series = []
    for _ in range(3):
        machine.wait()
        began = time.perf_counter()
        for _ in range(calls):
            run()
        machine.wait()
        series.append(1e3 * (time.perf_counter() - began) / calls)
    return median(series)


def host_us(machine, run, calls):
    """Time of the host to enqueue a call, while the device is idle."""
    times = []
    for _ in range(calls):
        machine.wait()
        began = time.perf_counter()
        run()
        times.append(1e6 * (time.perf_counter() - began))
    return median(times)


def measure_calls(machine, run, calls):
    for _ in range(2):
        run()
    figures = {"ms": each_ms(machine, run, calls), "host_us": host_us(machine, run, calls)}
    sums = []
    for _ in range(min(calls, 5)):
        with machine.alone() as times:
            run()
        sums.append(sum(times))
    return {**figures, "runs": len(times), "vulkan_ms": median(sums)}


# ---- a layer ---------------------------------------------------------------------------------------------------------

def make_layer(machine, way, n, window):
    """Returns functions for forward, and for forward and backward."""
    q, k, v = (machine.make(1, n, heads, DIM) for heads in (HEADS, KV_HEADS, KV_HEADS))
    dt_weight = machine.make(KV_HEADS, KV_HEADS * DIM) * (KV_HEADS * DIM) ** -0.5
    inputs = [t.detach().requires_grad_() for t in (q, k, v, dt_weight, machine.make(KV_HEADS) * 0.5)]
    dout = machine.make(1, n, HEADS, DIM)

    def attend(q, k, v, dt_weight, a):
        how = {"window": window, "tie_break": "earlier"}
        if way == "importance by PyTorch":
            importance = torch.exp(a * F.softplus(F.linear(v.flatten(2), dt_weight))).transpose(1, 2).float()
            return dmattn.dma_attention(q, k, v, importance=importance, **how)
        if way == "a run more":
            machine.empty_run()
        return dmattn.dma_attention(q, k, v, dt_weight=dt_weight, a=a, **how)

    def forward():
        with torch.no_grad():
            attend(*inputs)

    def step():
        out = attend(*inputs)
        if way == "a run more":
            machine.empty_run()
        torch.autograd.grad(out, inputs, dout)
    return forward, step


def measure_layer(machine, n, calls):
    window, ways = min(2048, n // 2), {}
    for way in WAYS:
        forward, step = make_layer(machine, way, n, window)
        ways[way] = {"forward": measure_calls(machine, forward, calls), "step": measure_calls(machine, step, calls)}
    return {"N": n, "w": window, "ways": ways}


# ---- hand-overs between other work -----------------------------------------------------------------------------------

def measure_between(machine, calls, repeat):
    """The time of some work of PyTorch, and of the same with an empty run of dmattn after it."""
    large, small = machine.make(16 * repeat, 16 * repeat), machine.make(16)

    def products():
        for _ in range(repeat // 4):
            large @ large

    def sums():
        for _ in range(repeat):
            small + small
    rows = []
    for name, work in (("nothing", lambda: None), ("a few large products", products), ("many tiny sums", sums)):
        def with_run():
            work()
            machine.empty_run()
        work()
        with_run()
        rows.append({"work": name, "ms": each_ms(machine, work, calls),
                     "with_run_ms": each_ms(machine, with_run, calls)})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", default="1024,2048,4096,8192,16384")
    parser.add_argument("--calls", type=int, default=20, help="of each kind, in each of three series")
    parser.add_argument("--quick", action="store_true", help="only the first length, and single calls")
    parser.add_argument("--json")
    options = parser.parse_args()
    lengths, calls = [int(n) for n in options.lengths.split(",")], options.calls
    if options.quick:
        lengths, calls = lengths[:1], 1
    machine = Machine()
    print(machine.name)
    results = {"machine": machine.name, "layers": [measure_layer(machine, n, calls) for n in lengths],
               "between": measure_between(machine, calls, 128 if machine.cuda else 4)}
    print("\n%s\n\n%s" % (layer_table(results["layers"]), between_table(results["between"])))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    if not torch.cuda.is_available():
        sys.exit("handover.py: PyTorch finds no CUDA device")
    main()
