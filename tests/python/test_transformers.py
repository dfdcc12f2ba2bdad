#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares models of Hugging Face's transformers on dmattn with the same models in eager mode: logits, loss, gradients,
padding, generation, saving. Runs on the CUDA device, or, if PyTorch has none, like test_operators.py. If
DMATTN_GENERATE is the path of the example app, also compares its text with that of transformers.

Tolerances: eager in the case's type is compared with eager in a wider type. dmattn's distance from the wider one may be
at most twice as large, plus ROUNDING: what computing in another order changes in models of this size. All distances are
relative, by the norms of whole tensors."""
import functools
import gc
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools/python"))
try:
    import torch
    import transformers
except ImportError as error:
    print("dmattn tests: no device: PyTorch or transformers is missing: %s" % error)
    sys.exit(0)
import dmattn  # noqa: E402
import fake_torch  # noqa: E402
import reference  # noqa: E402
from dmattn import device as device_module  # noqa: E402

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
LENGTH, WINDOW, VOCABULARY = (700, 64, 256) if CUDA else (50, 16, 32)
F32, BF16, F64 = torch.float32, torch.bfloat16, torch.float64
ROUNDING = {F32: 2.0 ** -16, BF16: 2.0 ** -7}


# ---- models ----------------------------------------------------------------------------------------------------------

SIZES = {"vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 32768, "bos_token_id": None,
         "eos_token_id": None, "pad_token_id": None, "tie_word_embeddings": False}


def randomize(model):
    """Weights so large that attention is not uniform, and importances that differ."""
    for name, parameter in model.named_parameters():
        if name.endswith(".A"):
            parameter.data = torch.randn_like(parameter) * 0.7 + 0.3
        elif parameter.dim() > 1:
            parameter.data = torch.randn_like(parameter) * (0.15 if "dt_proj" in name else 0.12)
    model.set_attn_implementation("eager")
    return model.eval().to(DEVICE)


def make_doge(seed=5, **options):
    torch.manual_seed(seed)
    config = transformers.DogeConfig(**{**SIZES, "keep_window_size": WINDOW, **options})
    return randomize(transformers.DogeForCausalLM(config))


def make_plain(kind):
    """Models that call an attention function. The sliding windows are shorter than the texts."""
    torch.manual_seed(6)
    options = {"Llama": {}, "Mistral": {"sliding_window": WINDOW},
               "Qwen2": {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
               "Gemma2": {"sliding_window": WINDOW, "head_dim": 16, "query_pre_attn_scalar": 16,
                          "attn_logit_softcapping": 5.0, "pad_token_id": 0}}[kind]
    config = getattr(transformers, kind + "Config")(**{**SIZES, **options})
    return randomize(getattr(transformers, kind + "ForCausalLM")(config))


def texts(batch=2, length=LENGTH):
    """Tokens that occur often, so that keys are equal in the first layer."""
    return torch.randint(1, VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(7)).to(DEVICE)


def use_dmattn(model):
    from dmattn.transformers import use_dmattn as use
    return use(model)


# ---- comparison ------------------------------------------------------------------------------------------------------

def distance(got, want):
    return ((got.to(F64) - want.to(F64)).norm() / want.to(F64).norm()).item()


def results(model, ids, labels=None, **options):
    """Logits, loss and all gradients, by name."""
    model.zero_grad()
    out = model(ids, labels=ids if labels is None else labels, **options)
    out.loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return {"logits": out.logits.detach(), "loss": out.loss.detach().reshape(1), **gradients}


def expect_near(name, got, eager, wide, dtype):
    """Compares the results of dmattn and of eager with those of eager in a wider type."""
    assert set(got) == set(eager) == set(wide), (name, set(got) ^ set(eager), set(wide) ^ set(eager))
    worst, wrong = 0.0, []
    for part, want in wide.items():
        error, allowed = distance(got[part], want), 2 * distance(eager[part], want) + ROUNDING[dtype]
        worst = max(worst, error / allowed)
        if not error <= allowed:
            wrong.append("%s: %.2e, allowed %.2e" % (part, error, allowed))
    print("%s: %d results; logits %.1e from the wider type, eager %.1e; worst error %.2f of what is allowed"
          % (name, len(got), distance(got["logits"], wide["logits"]), distance(eager["logits"], wide["logits"]), worst))
    assert not wrong, "%s: %s" % (name, "; ".join(wrong))


def compare(name, model, dtype, wider, **options):
    model, ids = model.to(dtype), texts()
    eager = results(model, ids, **options)
    wide = results(model.to(wider), ids, **options)
    got = results(use_dmattn(model.to(dtype)), ids, **options)
    expect_near(name, got, eager, wide, dtype)


# ---- checks ----------------------------------------------------------------------------------------------------------

def check_doge(dtype, wider):
    compare("Doge, %s" % dtype, make_doge(), dtype, wider)


def check_doge_rows():
    """Each row of a layer's output against float64 by the definition: among equal keys, the earlier one stays."""
    model = use_dmattn(make_doge())
    layer, seen = model.model.layers[0].self_attn, {}
    forward = layer.forward

    def keep(**options):
        out = forward(**options)
        seen.update(hidden=options["hidden_states"], rotation=options["position_embeddings"], out=out[0])
        return out

    layer.forward = keep
    with torch.no_grad():
        model(texts())
    rotate = sys.modules[type(layer).__module__].apply_rotary_pos_emb
    with torch.no_grad():
        x, shape = seen["hidden"], (*seen["hidden"].shape[:2], -1, layer.head_dim)
        q, k = layer.q_norm(layer.q_proj(x).view(shape)), layer.k_norm(layer.k_proj(x).view(shape))
        v = layer.v_proj(x).view(shape)
        importance = reference.importance_of(v, layer.dt_proj.weight, layer.A)
        q, k = rotate(q, k, *seen["rotation"], unsqueeze_dim=2)
        visible = reference.visible_of(importance, x.shape[1], WINDOW, tie_break="earlier")
        out = reference.attend(q.double(), k.double(), v.double(), visible, importance.double(), scale=layer.scaling)
        want = out.reshape(*x.shape[:2], -1) @ layer.o_proj.weight.double().t()
        later = reference.visible_of(importance, x.shape[1], WINDOW)
    errors = (seen["out"].double() - want).norm(dim=-1) / want.norm(dim=-1)
    wrong = (errors > 2.0 ** -16).sum().item()
    ties = (visible != later).any(-1).any(1).sum().item()
    print("Doge, rows: %d of %d are wrong, the largest error is %.1e; the rule for equal keys matters for %d"
          % (wrong, errors.numel(), errors.max().item(), ties))
    assert not wrong and ties


def check_padding():
    """Padding before and after a text changes nothing for the text."""
    model, ids = make_doge(), texts(3)
    valid = torch.ones_like(ids)
    valid[1, :LENGTH // 3] = 0
    valid[2, -(LENGTH // 4):] = 0
    labels = ids.masked_fill(valid == 0, -100)
    labels[1, LENGTH // 3] = -100  # its logits are those of padding, which have no meaning
    eager = results(model, ids, labels, attention_mask=valid)
    got = results(use_dmattn(model), ids, labels, attention_mask=valid)
    with torch.no_grad():
        alone = distance(got["logits"][2:, :-(LENGTH // 4)], model(ids[2:, :-(LENGTH // 4)]).logits)
    there = valid.bool()
    got["logits"], eager["logits"] = got["logits"][there], eager["logits"][there]
    error = max(distance(got[name], want) for name, want in eager.items())
    print("Doge, padding: at most %.1e from eager, %.1e from the text alone" % (error, alone))
    assert set(got) == set(eager) and error < 4 * ROUNDING[F32] and alone < ROUNDING[F32]


def check_generation(name, make):
    """generate() gives the tokens of eager: with a cache, with padding, and from a saved model."""
    model, ids = make(), texts(2, LENGTH // 2)
    valid = torch.ones_like(ids)
    valid[1, :LENGTH // 8] = 0
    how = {"attention_mask": valid, "max_new_tokens": 24 if CUDA else 5, "do_sample": False, "pad_token_id": 0}
    want = model.generate(ids, **how)
    got = use_dmattn(model).generate(ids, **how)
    assert torch.equal(got, want), (name, got[:, ids.shape[1]:], want[:, ids.shape[1]:])
    if hasattr(model, "save_pretrained"):
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            loaded = use_dmattn(type(model).from_pretrained(folder).to(DEVICE).eval())
        with torch.no_grad():
            assert torch.equal(loaded(ids).logits, model(ids).logits), "a loaded model gives other logits"
    print("%s, generation: %d tokens" % (name, want.numel() - ids.numel()))


def check_plain(kind, dtype, wider):
    compare("%s, %s" % (kind, dtype), make_plain(kind), dtype, wider)


def check_plain_padding(kind):
    model, ids = make_plain(kind), texts()
    valid = torch.ones_like(ids)
    valid[1, :LENGTH // 3] = 0
    with torch.no_grad():
        eager = model(ids, attention_mask=valid).logits
        got = use_dmattn(model)(ids, attention_mask=valid).logits
    error = distance(got[valid.bool()], eager[valid.bool()])
    print("%s, padding: %.1e from eager" % (kind, error))
    assert error < ROUNDING[F32]


def peak_memory(model, length):
    """The most memory that PyTorch and the package had during a training step, in bytes."""
    ids = texts(1, length)
    gc.collect()
    dmattn.empty_cache()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    results(model, ids)
    device = device_module.device_at(torch.cuda.current_device())
    shared = sum(segment.size for arena in device.arenas.values() for segment in arena.segments)
    return torch.cuda.max_memory_allocated() - before + shared


def check_memory():
    """Twice the length takes about twice the memory, not four times."""
    model = use_dmattn(make_doge())
    short, long = peak_memory(model, 16384), peak_memory(model, 32768)
    print("Doge, memory: %.0f and %.0f MiB for 16384 and 32768 tokens" % (short / 2 ** 20, long / 2 ** 20))
    assert long < 2.5 * short


def check_refusals():
    def refuses(part, call):
        try:
            call()
        except ValueError as error:
            assert part in str(error), str(error)
            return
        raise AssertionError("was accepted, but must be refused: " + part)

    ids, model = texts(2, 20), use_dmattn(make_doge())
    refuses("sliding_window", lambda: use_dmattn(make_doge(sliding_window=WINDOW + 4)))
    refuses("4 dimensions", lambda: model(ids, attention_mask=torch.zeros(2, 1, 20, 20, device=DEVICE)))
    packed = torch.arange(20, device=DEVICE).remainder(10).expand(2, -1)
    refuses("packed", lambda: model(ids, position_ids=packed, use_cache=False))
    model.train()
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.1
    refuses("dropout", lambda: model(ids))
    plain = use_dmattn(make_plain("Llama"))
    refuses("4 dimensions", lambda: plain(ids, attention_mask=torch.zeros(2, 1, 20, 20, device=DEVICE)))
    if hasattr(transformers, "StaticCache"):
        cache = transformers.StaticCache(config=plain.config, max_cache_len=64)
        refuses("static", lambda: plain(ids, past_key_values=cache))


def check_undo():
    """After set_attn_implementation("eager"), a model is as before."""
    model, ids = make_doge(), texts()
    with torch.no_grad():
        want = model(ids).logits
        use_dmattn(model)(ids)
        model.set_attn_implementation("eager")
        assert torch.equal(model(ids).logits, want)


def check_app():
    """The example app generates the bytes of transformers' greedy decoding. Its tokens are bytes."""
    model = make_doge(vocab_size=256, hidden_size=128, intermediate_size=256, num_hidden_layers=3, keep_window_size=32)
    prompt = "The quick brown fox jumps over the lazy dog, and then it sleeps under the old tree until the evening."
    ids = torch.tensor([list(prompt.encode())], device=DEVICE)
    want = model.generate(ids, max_new_tokens=48, do_sample=False, pad_token_id=0)[0, ids.shape[1]:].tolist()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        run = subprocess.run([os.environ["DMATTN_GENERATE"], "--weights", folder, "--prompt", prompt, "--tokens", "48"],
                             capture_output=True, text=True)
    text = "".join(chr(c) if 32 <= c < 127 or c in b"\n\t" else "\\x%02x" % c for c in want)
    assert run.returncode == 0, run.stderr
    assert "\n" + prompt + text + "\n" in run.stdout, (text, run.stdout)
    print("the example app: %d bytes" % len(want))


def run_app_of_page(page, folder):
    """The page's command continues a text with the model that the blocks have saved, in a folder of this test."""
    line = next(line for line in page.splitlines() if line.startswith("    build/dmattn-generate --weights doge "))
    app = os.path.abspath(os.environ["DMATTN_GENERATE"])
    run = subprocess.run([app] + shlex.split(line)[1:], cwd=folder, capture_output=True, text=True,
                         errors="replace")
    assert run.returncode == 0, run.stderr
    assert "\nEvery key is seen" in run.stdout, run.stdout


def check_page():
    """The blocks of Python in docs/doge.md run, one after the other, and then its command."""
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs/doge.md").read_text(encoding="utf-8")
    blocks = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    with tempfile.TemporaryDirectory() as folder:
        before = os.getcwd()
        os.chdir(folder)
        try:
            names = {}
            for block in blocks:
                exec(compile(block, "docs/doge.md", "exec"), names)
        finally:
            os.chdir(before)
        if os.environ.get("DMATTN_GENERATE"):
            run_app_of_page(page, folder)
    assert names["loss"].item() < 0.5, "the model has not learned its text: loss %g" % names["loss"].item()


def all_checks():
    yield "Doge in f32", functools.partial(check_doge, F32, F64)
    yield "Doge in bf16", functools.partial(check_doge, BF16, F32)
    yield "rows", check_doge_rows
    yield "padding", check_padding
    yield "generation", functools.partial(check_generation, "Doge", make_doge)
    for kind in ("Llama", "Mistral", "Qwen2", "Gemma2"):
        if hasattr(transformers, kind + "Config"):
            yield kind + " in f32", functools.partial(check_plain, kind, F32, F64)
            yield kind + " in bf16", functools.partial(check_plain, kind, BF16, F32)
            yield kind + ", padding", functools.partial(check_plain_padding, kind)
            yield kind + ", generation", functools.partial(check_generation, kind, functools.partial(make_plain, kind))
    if CUDA:
        yield "memory", check_memory
        yield "docs/doge.md", check_page
    yield "refusals", check_refusals
    yield "undo", check_undo
    if os.environ.get("DMATTN_GENERATE"):
        yield "example app", check_app


def main():
    if not CUDA:
        fake_torch.install()
    try:
        print("%s, transformers %s" % (device_module.device_at(0).name, transformers.__version__))
    except (ImportError, RuntimeError) as error:
        if "libdmattn" in str(error):
            raise
        print("dmattn tests: no device: %s" % error)
        return
    failed, count = [], 0
    for name, check in all_checks():
        count += 1
        try:
            check()
        except Exception:  # the other checks run, too
            traceback.print_exc()
            failed.append(name)
            print("%s: FAILED" % name)
        sys.stdout.flush()
    print("%d of %d checks failed%s" % (len(failed), count, "".join("\n    " + name for name in failed)))
    sys.exit(1 if failed else 0)


main()
