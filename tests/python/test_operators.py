#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares outputs and gradients of the package in tools/python with those of plain PyTorch and autograd. Runs on the
CUDA device, or, if PyTorch has none, on a Vulkan device of the CPU through tests/runtime/fake_cuda.c.

Tolerances are derived as in tools/lib/low_precision.h: the same computation in float32 with the roundings of a
kernel for the case's type. Its distance from float64 is doubled, because it rounds its sums in another order, and one
unit in the last place of the largest value is added (SLACK; four units in float32, where only sums are rounded).

D, the sum of dout * out, uses dmattn's out in this computation, too. The rounding of a row's out changes D, and so all
of the row's dS in the same direction. The gradients of the importance and of its parameters add this up over all rows,
and da has only one number for each head. With two different roundings of out, these errors would be independent, and
one would give no tolerance for the other. dmattn's out itself is also checked."""
import functools
import gc
import pathlib
import sys
import threading
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools/python"))
try:
    import torch
except ImportError as error:
    print("dmattn tests: no device: PyTorch is missing: %s" % error)
    sys.exit(0)
import dmattn  # noqa: E402
import fake_torch  # noqa: E402
import reference  # noqa: E402
from dmattn import cuda  # noqa: E402
from dmattn import device as device_module  # noqa: E402
from dmattn import native  # noqa: E402

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
if not CUDA:
    fake_torch.install()

SLACK = {torch.float32: 2.0 ** -21, torch.float16: 2.0 ** -10, torch.bfloat16: 2.0 ** -7}  # of the largest value
F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16
# name, dtype, batch, queries, keys, heads, kv_heads, dim, value_dim, options
CASES = [
    ("causal attention", F16, 2, 45, 45, 4, 2, 32, 32, {"mask": False}),
    ("dma, f32, more keys than queries", F32, 2, 40, 70, 4, 2, 16, 24, {"window": 12}),
    ("dma, bf16, dt_bias, soft cap", BF16, 1, 70, 70, 4, 1, 32, 32, {"window": 16, "dt_bias": True, "soft_cap": 5.0}),
    ("dma, importance given, padding, documents", F32, 2, 60, 60, 2, 1, 16, 16,
     {"window": 8, "given": True, "padding": True, "documents": [0, 17, 17, 60]}),
    ("dma, earlier of equal keys", F32, 2, 60, 60, 2, 1, 16, 16, {"window": 8, "given": True, "tie_break": "earlier"}),
    ("dma, later of equal keys", F32, 2, 60, 60, 2, 1, 16, 16, {"window": 8, "given": True, "tie_break": "later"}),
]
LARGE_CASES = [
    ("causal attention, large", BF16, 2, 1000, 1000, 8, 8, 64, 64, {"mask": False}),
    ("dma, f16, large", F16, 2, 512, 512, 16, 4, 128, 128, {"window": 64}),
    ("dma, bf16, large", BF16, 1, 700, 700, 16, 4, 128, 128, {"window": 100, "dt_bias": True}),
    ("dma, f32, large", F32, 1, 512, 600, 8, 2, 64, 64, {"window": 64}),
    ("dma, bf16, importance given, large", BF16, 2, 512, 512, 8, 2, 64, 64, {"window": 48, "given": True}),
]


def make_inputs(case, seed):
    """Returns the leaves by name, and the other inputs, in the case's type, on the host."""
    _, dtype, batch, queries, keys, heads, kv_heads, dim, value_dim, options = case
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape, scale=1.0, to=dtype: (scale * torch.randn(*shape, generator=generator)).to(to)
    leaves = {"q": normal(batch, queries, heads, dim), "k": normal(batch, keys, kv_heads, dim),
              "v": normal(batch, keys, kv_heads, value_dim)}
    others = {}
    if options.get("given"):
        leaves["importance"] = normal(batch, kv_heads, keys, to=F32)
        if options.get("tie_break"):
            leaves["importance"] = leaves["importance"].round()  # a few different values
    elif options.get("mask", True):
        # The importance is of the order of 1. With much larger exp(), softmax becomes a maximum, and gradients are only
        # rounding errors.
        leaves["dt_weight"] = normal(kv_heads, kv_heads * value_dim, scale=(kv_heads * value_dim) ** -0.5)
        leaves["a"] = ((0.5 + 0.5 * torch.rand(kv_heads, generator=generator)) * normal(kv_heads, to=F32).sign()).to(dtype)
        if options.get("dt_bias"):
            leaves["dt_bias"] = normal(kv_heads)
    if options.get("padding"):
        others["key_valid"] = (torch.rand(batch, keys, generator=generator) < 0.8).to(torch.uint8)
    if options.get("documents"):
        others["query_offsets"] = torch.tensor([options["documents"]] * batch, dtype=torch.int32)
        others["key_offsets"] = others["query_offsets"].clone()
    return leaves, others, normal(batch, queries, heads, value_dim)


def chosen(options):
    """The options of the selection that not every case has."""
    return {name: options[name] for name in ("tie_break",) if name in options}


def by_formula(case, leaves, others, dout, dtype, round_to=None, stored_out=None):
    """Returns out and gradients by name, in `dtype`, with the roundings of a kernel for the type `round_to`, which has
    stored `stored_out`. Returns None if in float64 two keys are so similar in importance that rounding would decide."""
    options = case[-1]
    leaves = {name: t.to(DEVICE, dtype, copy=True).requires_grad_() for name, t in leaves.items()}
    q, k, v = (leaves[name] for name in "qkv")
    bias = None
    if options.get("mask", True):
        bias = leaves.get("importance")
        if bias is None:
            bias = reference.importance_of(v, leaves["dt_weight"], leaves["a"], leaves.get("dt_bias"))
            if dtype == torch.float64 and reference.nearest(bias) < 1e-6:
                return None
        visible = reference.visible_of(bias, q.shape[1], options["window"], **others, **chosen(options))
    else:
        visible = torch.ones(q.shape[1], k.shape[1], dtype=torch.bool, device=DEVICE).tril(k.shape[1] - q.shape[1])
        visible = visible.expand(q.shape[0], k.shape[2], -1, -1)
    if stored_out is not None:
        stored_out = stored_out.to(DEVICE)
    out = reference.attend(q, k, v, visible, bias, soft_cap=options.get("soft_cap", 0.0), round_to=round_to,
                           stored_out=stored_out)
    out.backward(dout.to(DEVICE, dtype))
    return {"out": out.detach().cpu(), **{"d" + name: t.grad.cpu() for name, t in leaves.items()}}


def by_dmattn(case, leaves, others, dout, in_place):
    """The same by dmattn. in_place: all tensors are in shared memory from the start, otherwise in PyTorch's memory."""
    options = case[-1]

    def put(tensor):
        if not in_place:
            return tensor.to(DEVICE, copy=True)
        return dmattn.empty(tensor.shape, tensor.dtype).copy_(tensor)

    leaves = {name: put(t).requires_grad_() for name, t in leaves.items()}
    others = {name: put(t) for name, t in others.items()}
    if options.get("mask", True):
        out = dmattn.dma_attention(**leaves, **others, window=options["window"], soft_cap=options.get("soft_cap", 0.0),
                                   **chosen(options))
    else:
        out = dmattn.attention(**leaves, causal=True)
    out.backward(put(dout))
    return {"out": out.detach().cpu(), **{"d" + name: t.grad.cpu() for name, t in leaves.items()}}


def check_case(case):
    dtype = case[1]
    for seed in range(1, 50):
        leaves, others, dout = make_inputs(case, seed)
        right = by_formula(case, leaves, others, dout, torch.float64)
        if right:
            break
    else:
        raise AssertionError("%s: with every seed, two keys are too similar in importance" % case[0])
    ours = by_dmattn(case, leaves, others, dout, in_place=False)
    again = by_dmattn(case, leaves, others, dout, in_place=True)
    yardstick = by_formula(case, leaves, others, dout, F32, dtype, ours["out"])
    figures, wrong = [], []
    for name, want in right.items():
        got = ours[name]
        if got.shape != want.shape or got.dtype != (F32 if name == "dimportance" else dtype):
            wrong.append("%s is %s of %s" % (name, tuple(got.shape), got.dtype))
            continue
        if not torch.equal(got, again[name]):
            wrong.append("%s differs with the inputs in shared memory" % name)
        largest = want.abs().max().item()
        allowed = 2 * (yardstick[name].to(got.dtype).double() - want).abs().max().item() + SLACK[got.dtype] * largest
        error = (got.double() - want).abs().max().item()
        if not error <= allowed:
            wrong.append("the error of %s is %.3g, but at most %.3g is allowed (the largest value is %.3g)"
                         % (name, error, allowed, largest))
        figures.append("%s %.1e of %.1e" % (name, error / largest, allowed / largest))
    print("%s: errors and allowed errors, relative to the largest value: %s" % (case[0], ", ".join(figures)))
    assert not wrong, "; ".join(wrong)


def check_no_grad():
    """Without gradients, nothing is kept for backward, and the results have the same bits."""
    case = CASES[1]
    leaves, _, _ = make_inputs(case, 1)
    leaves = {name: t.to(DEVICE) for name, t in leaves.items()}
    plain = dmattn.dma_attention(**leaves, window=12)
    with_grad = dmattn.dma_attention(**{**leaves, "q": leaves["q"].clone().requires_grad_()}, window=12)
    assert plain.grad_fn is None and with_grad.grad_fn is not None
    assert torch.equal(plain, with_grad)


def check_strides():
    """Slices of a fused tensor in shared memory are read in place; what cannot be read in place is copied."""
    batch, n, heads, dim = 2, 33, 2, 16
    fused = dmattn.empty((batch, n, 3 * heads * dim), F32)
    fused.copy_(torch.randn(batch, n, 3 * heads * dim))
    q, k, v = (t.view(batch, n, heads, dim) for t in fused.split(heads * dim, dim=2))
    device = device_module.device_at(0)
    assert all(device.share(t) is t for t in (q, k, v))
    want = dmattn.attention(q.contiguous(), k.contiguous(), v.contiguous(), causal=True)
    assert torch.equal(dmattn.attention(q, k, v, causal=True), want)
    odd = fused.flatten()[1:1 + batch * n * heads * dim].view(batch, n, heads, dim)  # not at a multiple of 16 bytes
    assert device.share(odd) is not odd and torch.equal(device.share(odd), odd)
    swapped = q.transpose(1, 3)  # rows are not contiguous
    assert device.share(swapped) is not swapped
    one = fused[:1, :1, :dim].view(1, 1, 1, dim).expand(batch, n, heads, dim)
    assert device.share(one) is not one and torch.equal(device.share(one), one)


def check_memory():
    """Memory is freed with the last view of its tensor, and is used again."""
    gc.collect()
    device = device_module.device_at(0)
    tensor = dmattn.empty((1000,), F32)
    address, view = tensor.data_ptr(), tensor[10:]
    del tensor
    other = dmattn.empty((1000,), F32)
    assert other.data_ptr() != address
    del view
    assert dmattn.empty((1000,), F32).data_ptr() == address
    del other
    dmattn.empty((40 << 20,), F32)  # a separate segment
    gc.collect()
    before = sum(len(arena.segments) for arena in device.arenas.values())
    dmattn.empty_cache()
    assert sum(len(arena.segments) for arena in device.arenas.values()) < before


def check_streams_and_threads():
    """Runs from two streams in turn, and from a thread that has not used the device before."""
    case = CASES[1]
    leaves, _, _ = make_inputs(case, 1)
    leaves = {name: t.to(DEVICE) for name, t in leaves.items()}
    want = dmattn.dma_attention(**leaves, window=12)
    results = []
    if CUDA:
        torch.cuda.synchronize()
        streams = [torch.cuda.Stream(), torch.cuda.Stream()]
        for i in range(20):
            with torch.cuda.stream(streams[i % 2]):
                results.append(dmattn.dma_attention(**leaves, window=12))
    else:
        for i in range(20):
            fake_torch.Streams.current = 1 + i % 2
            results.append(dmattn.dma_attention(**leaves, window=12))
        fake_torch.Streams.current = 1
    thread = threading.Thread(target=lambda: results.append(dmattn.dma_attention(**leaves, window=12)))
    thread.start()
    thread.join()
    if CUDA:
        torch.cuda.synchronize()
    assert len(results) == 21 and all(torch.equal(r, want) for r in results)


def check_many_ahead():
    """Enqueues more runs than the host may be ahead of the device."""
    device = device_module.device_at(0)
    for _ in range(100):
        device.submit(lambda _commands: None)
    device._synchronize()


def check_failures():
    """If any CUDA call fails, nothing is leaked, and the next run works normally."""
    device = device_module.device_at(0)
    q = torch.randn(1, 8, 2, 16, device=DEVICE)
    want = dmattn.attention(q, q, q)

    def with_failing(name, run):
        def fail(*_arguments):
            raise cuda.Error(name)
        function = getattr(device.driver, name)
        setattr(device.driver, name, fail)
        try:
            run()
        except cuda.Error:
            return
        finally:
            setattr(device.driver, name, function)
        raise AssertionError("a failure of %s was not reported" % name)

    for name in ("cuSignalExternalSemaphoresAsync", "cuWaitExternalSemaphoresAsync"):
        for _ in range(2):  # the wait fails: first after the submission, then before it
            with_failing(name, lambda: dmattn.attention(q, q, q))
        assert torch.equal(dmattn.attention(q, q, q), want)
    gc.collect()
    dmattn.empty_cache()  # this is tried again if there is no memory
    made = []
    destroy_memory, destroy_buffer = device.driver.cuDestroyExternalMemory, device.library.buffer_destroy
    device.driver.cuDestroyExternalMemory = lambda *memory: (made.append("memory"), destroy_memory(*memory))
    device.library.buffer_destroy = lambda *buffer: (made.append("buffer"), destroy_buffer(*buffer))
    try:
        with_failing("cuExternalMemoryGetMappedBuffer", lambda: dmattn.empty((40 << 20,), F32))
    finally:
        device.driver.cuDestroyExternalMemory, device.library.buffer_destroy = destroy_memory, destroy_buffer
    assert made == ["memory", "buffer"], made


def check_refusals():
    def refuses(kind, part, call):
        try:
            call()
        except kind as error:
            assert part in str(error), str(error)
            return
        raise AssertionError("was accepted, but must be refused: " + part)

    q = torch.zeros(1, 8, 2, 16, device=DEVICE)
    importance = torch.zeros(1, 2, 8, device=DEVICE)
    refuses(ValueError, "dimensions", lambda: dmattn.attention(q[0], q, q))
    refuses(ValueError, "no elements", lambda: dmattn.attention(q[:0], q[:0], q[:0]))
    none = torch.zeros(1, 1, dtype=torch.int32, device=DEVICE)
    refuses(ValueError, "documents + 1", lambda: dmattn.dma_attention(
        q, q, q, window=4, importance=importance, query_offsets=none, key_offsets=none))
    refuses(ValueError, "float16", lambda: dmattn.attention(q, q.half(), q))
    refuses(ValueError, "do not fit", lambda: dmattn.attention(q, q[:, :4], q))
    refuses(TypeError, "float64", lambda: dmattn.attention(q.double(), q.double(), q.double()))
    refuses(ValueError, "must be given", lambda: dmattn.dma_attention(q, q, q, window=4))
    refuses(ValueError, "importance", lambda: dmattn.dma_attention(q, q, q, window=4, importance=importance[:, :1]))
    refuses(ValueError, "top", lambda: dmattn.dma_attention(q, q, q, window=4, importance=importance, select="top"))
    refuses(ValueError, "later, earlier",
            lambda: dmattn.dma_attention(q, q, q, window=4, importance=importance, tie_break=1))
    refuses(native.Error, "window", lambda: dmattn.dma_attention(q, q, q, importance=importance))
    refuses(native.Error, "head_dim", lambda: dmattn.attention(q[..., :4], q[..., :4], q))
    assert torch.isfinite(dmattn.attention(q, q, q)).all()  # afterwards, everything works


def main():
    try:
        name = device_module.device_at(0).name
    except (ImportError, RuntimeError) as error:
        if "libdmattn" in str(error):
            raise
        print("dmattn tests: no device: %s" % error)
        return
    print(name)
    checks = [(case[0], functools.partial(check_case, case)) for case in CASES + (LARGE_CASES if CUDA else [])]
    for check in (check_no_grad, check_strides, check_memory, check_streams_and_threads, check_many_ahead, check_failures,
                  check_refusals):
        checks.append((check.__name__[6:].replace("_", " "), check))
    failed = []
    for name, check in checks:
        try:
            check()
        except Exception:  # the other checks run, too
            traceback.print_exc()
            failed.append(name)
        print("%s: %s" % (name, "FAILED" if name in failed else "passed"))
    print("%d of %d checks failed%s" % (len(failed), len(checks), "".join("\n    " + name for name in failed)))
    sys.exit(1 if failed else 0)


main()
