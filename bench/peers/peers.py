#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times PyTorch's attention and writes results in vkbench's schema (docs/results.md), for vkbench merge.

    peers.py [--like OURS.json] [--pass forward|backward|both|decode]... [--json FILE] [--seconds S] [--no-flex]
             [--device cpu --small]

The cases are those of a result file of vkbench, or a few built-in ones, plus dense attention of the same sizes. The peers
are cuDNN, FlashAttention-2, SDPA with the mask as a tensor, and FlexAttention with a block mask; creating the block mask
is a result of its own (pass "mask"). The output and the gradients of each peer are checked on sampled rows before the
timing. Decoding times a CUDA graph of several steps; appending the token's k and v is not included. FlexAttention runs
last, because compiling it takes up to a minute per case. Cases for which --seconds leaves no time are skipped.
"""
import argparse
import json
import os
import statistics
import sys
import time

try:
    import torch
except ImportError:
    sys.exit(f"peers.py: this needs PyTorch, which {sys.executable} does not have")

from peer_attention import Flex, Timer, capture, first_line, peers_of
from peer_check import ROWS, TOLERANCE, check_forward, check_gradients
from peer_masks import Mask, top_w_ends

SIZES = ("type", "batch", "heads", "kv_heads", "queries", "keys", "head_dim", "value_dim")
PASSES = ("forward", "backward", "both", "decode")
DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32}


def case(dtype, heads, kv_heads, n, d, mask, which="forward", batch=1, queries=None):
    values = (dtype, batch, heads, kv_heads, queries or n, n, d, d)
    return dict(zip(SIZES, values), mask=mask, **{"pass": which})


def own_cases(small):
    if small:
        shapes = [("f32", 4, 2, 192, 64, "topw:32"), ("f32", 4, 2, 150, 64, "causal+dense:0.3"),
                  ("f32", 2, 2, 130, 32, "interval:20"), ("f32", 2, 2, 96, 64, "none")]
        contexts = [(1, 256), (3, 256)]
    else:
        shapes = [("bf16", 2, 1, 32768, 64, "topw:1024"), ("bf16", 16, 4, 16384, 128, "topw:1024"),
                  ("bf16", 16, 4, 32768, 128, "topw:2048"), ("f16", 16, 4, 8192, 128, "dense:0.1"),
                  ("f16", 16, 16, 16384, 128, "causal"), ("bf16", 16, 4, 131072, 128, "topw:2048")]
        contexts = [(b, n) for b in (1, 64) for n in (4096, 32768, 131072) if b * n < 1 << 22]
    dtype = "f32" if small else "bf16"
    return ([case(*shape, which) for which in ("forward", "backward") for shape in shapes]
            + [case(dtype, 16, 4, n, 128, "none", "decode", b, 1) for b, n in contexts])


def cases_like(path):
    """The cases of a result file of vkbench, which may be a merged one."""
    with open(path) as file:
        document = json.load(file)
    found = []
    for run in document.get("runs", [document]):
        for r in run["results"]:
            biased = r.get("bias") and not r["mask"].startswith("topw")  # the importance is a separate bias
            if not biased and r["pass"] in PASSES and not r.get("peer"):
                found.append({name: r[name] for name in (*SIZES, "mask", "pass", "name", "model") if name in r})
    return found


def with_dense(cases):
    """Each case once, grouped by sizes, with the dense case first in each group."""
    found = {}
    for c in cases:
        sizes = tuple(c[name] for name in (*SIZES, "pass"))
        masks = found.setdefault(sizes, {})
        dense = "none" if c["pass"] == "decode" else "causal"
        masks.setdefault(dense, {**{k: v for k, v in c.items() if k != "name"}, "mask": dense})
        masks[c["mask"]] = c
    return [c for masks in found.values() for c in masks.values()]


# ---- one case --------------------------------------------------------------------------------------------------------


def figures(c, mask, samples, moved):
    pairs, both = mask.pairs(), c["head_dim"] + c["value_dim"]
    flops = {"backward": 6 * c["head_dim"] + 4 * c["value_dim"], "both": 8 * c["head_dim"] + 6 * c["value_dim"]}
    ms = statistics.median(samples)
    low, _, high = statistics.quantiles(samples, n=4)
    return dict(status="ok", visible_pairs=pairs, runs_per_sample=1, samples_ms=samples, median_ms=ms,
                min_ms=min(samples), spread=(high - low) / 2 / ms,
                tflops=flops.get(c["pass"], 2 * both) * pairs / ms * 1e-9, gbytes_s=moved / ms * 1e-6)


def bytes_moved(c, tensors, more):
    """Each input read once and each output written once, as vkbench counts them."""
    size = {name: x.numel() * x.element_size() for name, x in tensors.items()}
    inputs, lse = size["q"] + size["k"] + size["v"], 4 * c["batch"] * c["heads"] * c["queries"]
    forward = inputs + size["dout"] + more
    backward = 2 * inputs + 2 * size["dout"] + lse + more
    return {"backward": backward, "both": forward + backward}.get(c["pass"], forward)


def run_peer(c, mask, peer, tensors, timer):
    """The fields of the result. Raises an exception if the peer does not support the case."""
    inputs = [tensors[name].requires_grad_(c["pass"] in ("backward", "both")) for name in "qkv"]
    attend = peer.prepare(mask, inputs)
    checked = {}
    if c["pass"] in ("forward", "decode"):
        with torch.no_grad():
            out = attend(*inputs)
    else:
        out = attend(*inputs)
        grads = torch.autograd.grad(out, inputs, tensors["dout"], retain_graph=True)
        errors, keys = check_gradients(mask, tensors, out, tensors["dout"], grads)
        checked = dict(gradient_errors=errors, checked_keys=keys)
        del grads
    error, rows = check_forward(mask, tensors, out.detach())
    tolerance = TOLERANCE[c["type"]]
    checked.update(error=error, tolerance=tolerance, checked_rows=rows, kernel=peer.kernel)
    worst = max([error, *checked.get("gradient_errors", {}).values()])
    if not worst <= tolerance:
        return dict(checked, status="wrong", sentence=f"error {worst:.1e}, above {tolerance:.0e}")
    moved = bytes_moved(c, tensors, peer.input_bytes(mask, inputs[0].dtype))
    if c["pass"] == "backward":
        run = lambda: torch.autograd.grad(out, inputs, tensors["dout"], retain_graph=True)
        samples = timer.samples(run)
    elif c["pass"] == "both":
        samples = timer.samples(lambda: torch.autograd.grad(attend(*inputs), inputs, tensors["dout"]))
    else:
        with torch.no_grad():
            graph = capture(attend, inputs) if timer.cuda and c["pass"] == "decode" else None
            samples = timer.samples_of_graph(graph) if graph else timer.samples(lambda: attend(*inputs))
    return dict(checked, **figures(c, mask, samples, moved))


def make_tensors(c, device):
    torch.manual_seed(1)
    make = lambda heads, n, d: torch.randn(c["batch"], heads, n, d, device=device, dtype=DTYPES[c["type"]])
    return {"q": make(c["heads"], c["queries"], c["head_dim"]), "k": make(c["kv_heads"], c["keys"], c["head_dim"]),
            "v": make(c["kv_heads"], c["keys"], c["value_dim"]), "dout": make(c["heads"], c["queries"], c["value_dim"])}


def run_case(c, peers, options, timer, results):
    mask = Mask(c, options.device)
    tensors = make_tensors(c, options.device)
    for peer in peers:
        if not peer.takes(mask) or timer.is_over():
            continue
        row = dict(c, causal=mask.causal, bias=mask.bias is not None, peer=peer.name, reuse_mask=not mask.is_plain)
        try:
            row.update(run_peer(c, mask, peer, tensors, timer))
        except NotImplementedError as error:
            row.update(status="unsupported", sentence=first_line(error))
        except Exception as error:
            unsupported = "No available kernel" in str(error)
            row.update(status="unsupported" if unsupported else "failed", sentence=first_line(error))
        results.append(row)
        tell(row)
        if isinstance(peer, Flex) and row["status"] == "ok" and c["pass"] == "forward":
            samples = timer.samples(peer.make_mask)
            made = dict(c, peer=peer.name, kernel=peer.mask_kernel)
            made["pass"] = "mask"
            results.append(dict(made, status="ok", runs_per_sample=1, samples_ms=samples, min_ms=min(samples),
                                median_ms=statistics.median(samples)))
            tell(results[-1])


def tell(row):
    name = (f"{row['type']} B{row['batch']} H{row['heads']}/{row['kv_heads']} N{row['queries']}/{row['keys']} "
            f"D{row['head_dim']}/{row['value_dim']} {row['mask']} {row['pass']}")
    said = f"{row['median_ms']:9.4f} ms" if row["status"] == "ok" else f"{row['status']}: {row['sentence']}"
    if "tflops" in row:
        said += f" {row['tflops']:6.1f} TFLOP/s, error {row['error']:.1e}"
    print(f"{name:56} {row['peer']:9} {said}", flush=True)


# ---- all of them -----------------------------------------------------------------------------------------------------


def document(options, began, results):
    device = {"name": "CPU", "driver": "", "type": "cpu"}
    if options.device == "cuda":
        device = {"name": torch.cuda.get_device_name(), "type": "discrete",
                  "driver": f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"}
    return dict(schema=2, program="pytorch", version=torch.__version__, date=began, command_line=sys.argv,
                device=device, results=results)


def write(path, contents):
    """Replaces the file atomically."""
    with open(path + ".tmp", "w") as file:
        json.dump(contents, file, indent=1)
    os.replace(path + ".tmp", path)


def self_test():
    """Checks top_w_ends() against a brute-force search, and Mask.blocks() pair by pair."""
    importance = torch.randn(96, generator=torch.Generator().manual_seed(2))
    ends = top_w_ends(importance.tolist(), 8)
    for t in range(96):
        seen = {j for j in range(t + 1) if t < ends[j]}
        assert seen == set(importance[:t + 1].topk(min(8, t + 1)).indices.tolist()), t
    size = 8
    for n, name in (96, "topw:70"), (100, "interval:60"), (100, "topw:8"):
        mask = Mask(case("f32", 4, 2, n, 8, name), "cpu")
        touched, filled = mask.blocks(size)
        pairs = torch.stack([mask.visible(head, torch.arange(n)[:, None], torch.arange(n)) for head in range(2)])
        for (head, row, column), is_touched in zip(torch.cartesian_prod(*map(torch.arange, touched.shape)).tolist(),
                                                   touched.flatten().tolist()):
            block = pairs[head, row * size:(row + 1) * size, column * size:(column + 1) * size]
            assert is_touched == block.any(), (name, head, row, column)
            assert filled[head, row, column] == (block.numel() == size * size and block.all()), (name, head, row, column)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip(), description=__doc__.split("\n")[0])
    parser.add_argument("--like")
    parser.add_argument("--pass", dest="passes", action="append", choices=PASSES)
    parser.add_argument("--json")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--no-flex", action="store_true")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    self_test()
    cases = cases_like(options.like) if options.like else own_cases(options.small)
    cases = with_dense(c for c in cases if c["pass"] in (options.passes or PASSES))
    timer = Timer(options.device, time.monotonic() + options.seconds)
    began, results, left_out = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), [], 0
    contents = document(options, began, results)
    print(f"{contents['device']['name']}, PyTorch {torch.__version__}", flush=True)
    quick, slow = peers_of(options.device)
    for peers in [quick] if options.no_flex else [quick, slow]:
        for c in cases:
            if timer.is_over():
                left_out += 1
                continue
            try:
                run_case(c, peers, options, timer, results)
            except NotImplementedError:
                pass  # no peer has such a mask
            except Exception as error:
                print(f"{c}: {first_line(error)}", flush=True)
            if options.json:
                write(options.json, contents)
            if options.device == "cuda":
                torch.cuda.empty_cache()
    if left_out:
        print(f"no time was left for {left_out} cases", flush=True)
    return 1 if any(r["status"] == "wrong" for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
