#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures a training step (forward and backward, batch 1, bf16) of a random Doge of 160M's shape on one CUDA device:
with dmattn, and with the attention of Hugging Face's transformers. Prints time and memory as a table in Markdown.
bench/experiments/doge.py puts the file of results into docs/doge.md.

    measure_doge.py [--lengths N,N,...] [--layers N] [--steps N] [--json FILE]"""
import argparse
import gc
import json
import pathlib
import sys
import time

import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "bench/experiments")]
import dmattn  # noqa: E402
from dmattn.device import device_at  # noqa: E402
from dmattn.transformers import use_dmattn  # noqa: E402
from doge import KINDS, step_table  # noqa: E402


def make_model(layers, longest):
    torch.manual_seed(1)
    config = transformers.DogeConfig(
        vocab_size=32768, hidden_size=768, intermediate_size=1536, num_hidden_layers=layers, num_attention_heads=6,
        num_key_value_heads=3, keep_window_size=2048, max_position_embeddings=longest, tie_word_embeddings=True)
    model = transformers.DogeForCausalLM(config)
    for name, parameter in model.named_parameters():
        if name.endswith(".A"):  # zero in a new model, so that all keys would be equally important
            parameter.data = torch.randn_like(parameter) * 0.5
    return use_dmattn(model).cuda().to(torch.bfloat16).train()


def shared_memory():
    """Bytes that the package has taken from CUDA besides PyTorch."""
    arenas = device_at(torch.cuda.current_device()).arenas
    return sum(segment.size for arena in arenas.values() for segment in arena.segments)


def clean():
    gc.collect()
    dmattn.empty_cache()
    torch.cuda.empty_cache()


def measure(model, kind, length, steps):
    """Medians of the milliseconds of a step and of those that the host needs to enqueue it, and the most bytes; None if
    the memory does not suffice."""
    model.set_attn_implementation(kind)
    ids = torch.randint(0, model.config.vocab_size, (1, length), device="cuda")
    times, host = [], []
    clean()
    torch.cuda.reset_peak_memory_stats()
    try:
        for _ in range(2 + steps):
            torch.cuda.synchronize()
            began = time.perf_counter()
            model.zero_grad(set_to_none=True)
            model(ids, labels=ids, use_cache=False).loss.backward()
            host.append(1e3 * (time.perf_counter() - began))
            torch.cuda.synchronize()
            times.append(1e3 * (time.perf_counter() - began))
    except torch.OutOfMemoryError:
        return None
    return {"ms": sorted(times[2:])[steps // 2], "host_ms": sorted(host[2:])[steps // 2],
            "bytes": torch.cuda.max_memory_allocated() + shared_memory()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", default="2048,4096,8192,16384,32768")
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--json")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("measure_doge.py: PyTorch finds no CUDA device")
    lengths = [int(n) for n in options.lengths.split(",")]
    machine = "%s; PyTorch %s, transformers %s" % (device_at(torch.cuda.current_device()).name, torch.__version__,
                                                   transformers.__version__)
    print(machine)
    model, figures = make_model(options.layers, max(lengths)), {}
    about = "%.0fM parameters, w = 2048" % (sum(p.numel() for p in model.parameters()) / 1e6)
    print(about)
    for length in lengths:
        figures[length] = {kind: measure(model, kind, length, options.steps) for kind in KINDS}
        model.zero_grad(set_to_none=True)
    print("\n" + step_table(figures))
    for length, row in figures.items():
        print("N = %d, the host's part: %s" % (length, ", ".join("%s %.0f ms" % (kind, one["host_ms"])
                                                                for kind, one in row.items() if one)))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": machine, "model": about, "steps": figures}, file, indent=1)
            file.write("\n")


main()
