#!/usr/bin/env python3
"""Times PyTorch's attention on the shapes that vkbench is timed on: cuDNN, FlashAttention-2 and FlexAttention.

    peers.py [--pass forward|backward|both]... [--seconds S] [--json FILE] [--warm] [--device cpu --small]
    peers.py --decode [--seconds S] [--json FILE] [--device cpu --small]

FlexAttention has a true per-query top-w mask of random importance (a block mask) and that importance as its bias, which
takes no gradient. --warm compiles everything once, so that a later process finds it in the caches, and times nothing.
--decode times dense steps of decoding instead, of one new query a sequence, in a CUDA graph: by the backend that
PyTorch picks, then by each one forced. Appending the token's k and v is not part of them.
"""
import argparse
import heapq
import json
import random
import sys
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

try:  # backward is run again and again on one forward run's results, which compiled code otherwise overwrites
    import torch._functorch.config
    torch._functorch.config.donated_buffer = False
except (ImportError, AttributeError):
    pass

FLOPS_OF_PASS = {"forward": 1.0, "backward": 2.5, "both": 3.5}  # forward's is the unit
# dtype, H, Hk, N, D, w (0: dense causal, None: no mask)
SHAPES = [("bf16", 2, 1, 32768, 64, 1024), ("bf16", 16, 4, 16384, 128, 1024), ("bf16", 16, 4, 32768, 128, 2048),
          ("f16", 16, 16, 16384, 128, 0), ("f16", 16, 16, 8192, 128, None), ("f16", 16, 16, 8192, 64, 0),
          ("f16", 16, 16, 8192, 256, 0), ("bf16", 16, 4, 131072, 128, 2048)]
SMALL_SHAPES = [("f32", 4, 2, 256, 64, 32), ("f32", 2, 2, 256, 64, 0), ("f32", 2, 2, 256, 64, None)]
# batch, the rest
DECODE_CASES = [(b, ("bf16", 16, 4, n, 128, None)) for b, n in ((1, 4096), (1, 32768), (1, 131072), (1, 524288),
                                                                (64, 4096), (64, 32768))]
SMALL_DECODE_CASES = [(b, ("f32", 4, 2, 256, 64, None)) for b in (1, 3)]
GRAPH_CALLS = 20
DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32}


class Timer:
    def __init__(self, device, deadline):
        self.cuda, self.deadline = device == "cuda", deadline

    def once(self, run):
        if not self.cuda:
            began = time.perf_counter()
            run()
            return 1e3 * (time.perf_counter() - began)
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda._sleep(3000000)  # some 1.5 ms, in which the host launches all that is timed
        begin.record()
        run()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    def median_ms(self, run):
        warm = [self.once(run) for _ in range(3)]
        count = max(5, min(25, int(1000 / max(warm[-1], 1e-3))))
        times = sorted(self.once(run) for _ in range(count))
        return times[count // 2], count

    def replay_ms(self, graph):
        """Of a call in it; replays follow each other without the host between them."""
        warm = [self.once(graph.replay) for _ in range(3)]
        count = max(30, min(100, int(1000 / max(warm[-1], 1e-3))))
        events = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
        torch.cuda._sleep(3000000)
        events[0].record()
        for event in events[1:]:
            graph.replay()
            event.record()
        events[-1].synchronize()
        times = sorted(begin.elapsed_time(end) for begin, end in zip(events, events[1:]))
        return times[count // 2] / GRAPH_CALLS, count


def time_pass(timer, which, attend, inputs, dout):
    if which == "forward":
        with torch.no_grad():
            return timer.median_ms(lambda: attend(*inputs))
    if which == "both":
        return timer.median_ms(lambda: torch.autograd.grad(attend(*inputs), inputs, dout))
    out = attend(*inputs)
    return timer.median_ms(lambda: torch.autograd.grad(out, inputs, dout, retain_graph=True))


def make_sdpa(backend, causal, gqa):
    def attend(q, k, v):
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal, **({"enable_gqa": True} if gqa else {}))
    return attend


def top_w_ends(importance, window):
    """For each key the first query that does not see it: it is seen from its own position on, while it is among the
    `window` most important at or before the query; the later one of equals."""
    heap, end = [], [len(importance)] * len(importance)
    for t, x in enumerate(importance):
        heapq.heappush(heap, (x, t))
        if len(heap) > window:
            end[heapq.heappop(heap)[1]] = t
    return end


def make_flex(shape, device):
    """attend(q, k, v), milliseconds of making the block mask, visible pairs of a query head on average"""
    _, heads, kv_heads, n, _, window = shape
    group = heads // kv_heads
    bias = visible = None
    if window:
        numbers = random.Random(1)
        rows = [[numbers.gauss(0, 1) for _ in range(n)] for _ in range(kv_heads)]
        ends = [top_w_ends(row, window) for row in rows]
        visible = sum(e - j for row in ends for j, e in enumerate(row)) / kv_heads
        bias = torch.tensor(rows, device=device)
        end = torch.tensor(ends, device=device, dtype=torch.int32)

        def mask_mod(batch, head, query, key):
            return (query >= key) & (query < end[head // group, key])

        def score_mod(score, batch, head, query, key):
            return score + bias[head // group, key]
    else:
        def mask_mod(batch, head, query, key):
            return query >= key
        score_mod = None
    block_heads = heads if window else None
    plain = lambda **more: create_block_mask(mask_mod, None, block_heads, n, n, device=device, **more)
    build, attention = plain, flex_attention
    if device == "cuda":  # uncompiled, it makes a mask of n x n
        compiled_mask = torch.compile(create_block_mask, dynamic=False)
        build = lambda: compiled_mask(mask_mod, None, block_heads, n, n, device=device)
        attention = torch.compile(flex_attention, dynamic=False)
    try:
        mask = build()
    except Exception as error:
        print(f"compiled create_block_mask failed: {first_line(error)}; with _compile", flush=True)
        build = lambda: plain(_compile=True)
        mask = build()
    gqa = {"enable_gqa": True} if group > 1 else {}
    return lambda q, k, v: attention(q, k, v, score_mod=score_mod, block_mask=mask, **gqa), build, visible


def first_line(error):
    text = f"{type(error).__name__}: {error}".strip()
    return text.partition("\n")[0][:160]


def backends_of(device):
    if device != "cuda":
        return [("math", SDPBackend.MATH)]
    return [("cuDNN", SDPBackend.CUDNN_ATTENTION), ("flash", SDPBackend.FLASH_ATTENTION)]


def run_shape(options, timer, shape, results):
    name, heads, kv_heads, n, d, window = shape
    dtype, device = DTYPES[name], options.device
    torch.manual_seed(1)
    make = lambda h, grad: torch.randn(1, h, n, d, device=device, dtype=dtype).requires_grad_(grad)
    inputs, dout = [make(heads, True), make(kv_heads, True), make(kv_heads, True)], make(heads, False)
    pairs = n * n if window is None else n * (n + 1) / 2
    label = f"{name:4} H{heads}/{kv_heads} N{n} D{d} {'none' if window is None else 'causal'}"

    def time_all(what, get, pairs):
        said = []
        for which in options.passes:
            if n > 100000 and which != "forward" or time.monotonic() > timer.deadline:
                said.append(f"{which} -")
                continue
            try:
                attend = get(heads != kv_heads)
                try:
                    ms, count = time_pass(timer, which, attend, inputs, dout)
                except Exception as error:  # it may want as many key heads as query heads
                    if heads == kv_heads or what.startswith("flex"):
                        raise
                    said.append(f"(k, v repeated, as: {first_line(error)[:70]})")
                    repeated = [inputs[0]] + [x.detach().repeat_interleave(heads // kv_heads, 1).requires_grad_()
                                              for x in inputs[1:]]
                    ms, count = time_pass(timer, which, get(False), repeated, dout)
                flops = 4 * d * heads * pairs * FLOPS_OF_PASS[which]
                said.append(f"{which} {ms:.3f} ms {flops / ms * 1e-9:.0f} TF")
                results.append(dict(shape=shape, peer=what, which=which, ms=ms, runs=count, tflops=flops / ms * 1e-9))
            except Exception as error:  # what a backend cannot do must not keep the others from being timed
                said.append(f"{which} failed: {first_line(error)}")
                results.append(dict(shape=shape, peer=what, which=which, failed=first_line(error)))
        print(f"{label:36} {what:16} " + "  ".join(said), flush=True)

    if not options.warm:
        for what, backend in backends_of(device):
            time_all(what, lambda gqa, backend=backend: make_sdpa(backend, window is not None, gqa), pairs)
    if window and n < 100000 and time.monotonic() < timer.deadline:
        try:
            torch._dynamo.reset()  # else the limit of recompilations makes it run uncompiled
            began = time.monotonic()
            attend, build, visible = make_flex(shape, device)
            if options.warm:
                with torch.no_grad():
                    attend(*inputs)
                torch.autograd.grad(attend(*inputs), inputs, dout)
                if device == "cuda":
                    torch.cuda.synchronize()
                print(f"{label}: compiled in {time.monotonic() - began:.1f} s", flush=True)
                return
            # causal in the label; the pairs are those of top-w
            time_all(f"flex top-{window}", lambda _: attend, visible)
            ms, _ = timer.median_ms(build)
            results.append(dict(shape=shape, peer="flex block mask", which="forward", ms=ms))
            print(f"{label:36} {'flex block mask':16} {ms:.2f} ms", flush=True)
        except Exception as error:
            print(f"{label:36} flex failed: {first_line(error)}", flush=True)
            results.append(dict(shape=shape, peer="flex", failed=first_line(error)))


def picked_backend(inputs):
    try:
        return SDPBackend(torch._fused_sdp_choice(*inputs, enable_gqa=True)).name.lower()
    except Exception:  # it is not public
        return "unknown"


def step_in_f32(q, k, v):
    grouped = q.float().view(*k.shape[:2], -1, q.shape[-1])  # the query heads of each key head
    return ((grouped @ k.float().transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1) @ v.float()).reshape(q.shape)


def capture(attend, inputs):
    """The graph, which has run once, and the last call's result"""
    for _ in range(3):
        attend(*inputs)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(GRAPH_CALLS):
            out = attend(*inputs)
    graph.replay()
    return graph, out


def run_decode(options, timer, case, results):
    batch, shape = case
    name, heads, kv_heads, n, d, _ = shape
    torch.manual_seed(1)
    make = lambda h, count: torch.randn(batch, h, count, d, device=options.device, dtype=DTYPES[name])
    inputs = make(heads, 1), make(kv_heads, n), make(kv_heads, n)
    want = step_in_f32(*inputs) if n <= 32768 else None
    moved = 2 * (inputs[0].numel() + inputs[1].numel()) * inputs[0].element_size()  # q and out, k and v
    flops = 4 * d * heads * n * batch
    label = f"{name:4} B{batch} H{heads}/{kv_heads} N{n} D{d} none"
    for what, backend in [("default", None)] + backends_of(options.device):
        row = dict(shape=shape, batch=batch, peer=what, which="decode")
        said = "decode -"
        if time.monotonic() <= timer.deadline:
            attend = make_sdpa(backend, False, True) if backend else (
                lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True))
            try:
                if timer.cuda:
                    graph, out = capture(attend, inputs)
                else:
                    out = attend(*inputs)
                if want is not None:
                    row["error"] = ((out.float() - want).norm() / want.norm()).item()
                    if not row["error"] < 1e-2:
                        raise ValueError(f"wrong by {row['error']:.1e}")
                ms, count = timer.replay_ms(graph) if timer.cuda else timer.median_ms(lambda: attend(*inputs))
                row.update(ms=ms, runs=count, tflops=flops / ms * 1e-9, gbytes_s=moved / ms * 1e-6)
                said = f"decode {ms:8.4f} ms {row['gbytes_s']:5.0f} GB/s {row['tflops']:5.1f} TF  " + (
                    f"error {row['error']:.1e}" if "error" in row else "not checked  ")
                if not backend:
                    row["backend"] = picked_backend(inputs)
                    said += f"  {row['backend']}"
            except Exception as error:
                row["failed"] = first_line(error)
                said = f"decode failed: {row['failed']}"
            results.append(row)
        print(f"{label:36} {what:16} {said}", flush=True)


def self_test(device):
    """FlexAttention with the intervals and the bias against plain softmax with a brute-force mask."""
    shape = ("f32", 4, 2, 96, 64, 8)
    torch.manual_seed(1)
    q, k, v = (torch.randn(1, h, 96, 64, device=device, requires_grad=True) for h in (4, 2, 2))
    attend, _, _ = make_flex(shape, device)
    numbers = random.Random(1)
    bias = torch.tensor([[numbers.gauss(0, 1) for _ in range(96)] for _ in range(2)], device=device)
    scores = q @ k.repeat_interleave(2, 1).transpose(2, 3) / 8 + bias.repeat_interleave(2, 0)[None, :, None]
    hidden = torch.ones(4, 96, 96, dtype=torch.bool, device=device)
    for h in range(4):
        for t in range(96):
            hidden[h, t, bias[h // 2, :t + 1].topk(min(8, t + 1)).indices] = False
    want = scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v.repeat_interleave(2, 1)
    got = attend(q, k, v)
    error = ((got - want).norm() / want.norm()).item()
    grads = [torch.autograd.grad(o, (q, k, v), torch.ones_like(o)) for o in (got, want)]
    worst = max(((a - b).norm() / b.norm()).item() for a, b in zip(*grads))
    print(f"self-test: out {error:.1e}, gradients {worst:.1e}", flush=True)
    return error < 1e-2 and worst < 1e-2  # TF32 is not asked for


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pass", dest="passes", action="append", choices=list(FLOPS_OF_PASS))
    parser.add_argument("--decode", action="store_true")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--json")
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    if options.decode and (options.passes or options.warm):
        parser.error("--decode goes with neither --pass nor --warm")
    options.passes = options.passes or ["forward", "backward"]
    timer = Timer(options.device, time.monotonic() + options.seconds)
    if options.self_test:
        return 0 if self_test(options.device) else 1
    name = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    run, shapes, small, how = run_shape, SHAPES, SMALL_SHAPES, "backward alone, on one forward run's results"
    if options.decode:
        run, shapes, small = run_decode, DECODE_CASES, SMALL_DECODE_CASES
        how = f"{GRAPH_CALLS} calls a CUDA graph" if timer.cuda else "call by call"
    print(f"{name}, PyTorch {torch.__version__}; {how}", flush=True)
    results = []
    for shape in small if options.small else shapes:
        if time.monotonic() > timer.deadline:
            print(f"not run: {shape}")
            continue
        try:
            run(options, timer, shape, results)
        except Exception as error:
            print(f"{shape} failed: {first_line(error)}", flush=True)
        if options.json:
            with open(options.json, "w") as f:
                json.dump(dict(device=name, torch=torch.__version__, results=results), f, indent=1)
        if options.device == "cuda":
            torch.cuda.empty_cache()
    return 0


if __name__ == "__main__":
    sys.exit(main())
