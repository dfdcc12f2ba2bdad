#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The example app with models as Hugging Face's transformers saves them: all types, several files, tied weights, a
tokenizer; and files that it must refuse.

    test_pretrained.py DMATTN_GENERATE"""
import json
import pathlib
import subprocess
import sys
import tempfile

import pretrained_files as files
from pretrained_files import Bpe, GPT2

PROGRAM = sys.argv[1]
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
PROMPT = "the keys that are seen, the keys, the keys: größer"  # tokens occur twice, so that keys are equal
SPLITTERS = [lambda text: files.split(GPT2, text)]
BPE = Bpe(files.train(PROMPT * 2, SPLITTERS, 30), SPLITTERS, added=["<|end|>"])
VOCABULARY = BPE.size() + 3  # models have more rows than there are tokens
SEED = 3  # no two different keys have nearly the same importance


def make(folder, dtype="F32", shards=1, tied=False, silent=False, vocabulary=VOCABULARY, **changes):
    """Writes a model. silent: all logits are 0, so that it always says token 0."""
    tensors = files.shapes(vocabulary, tied=tied)
    weights = files.random_weights(tensors, SEED)
    if silent:
        weights["lm_head.weight"] = [0.0] * len(weights["lm_head.weight"])
    folder.mkdir()
    names = list(tensors)
    if shards == 1:
        (folder / "model.safetensors").write_bytes(files.safetensors(tensors, weights, dtype))
    else:
        index = {"metadata": {"total_size": 1}, "weight_map": {}}
        for i in range(shards):
            part = {name: tensors[name] for name in names[i::shards]}
            name = "model-%05d-of-%05d.safetensors" % (i + 1, shards)
            (folder / name).write_bytes(files.safetensors(part, weights, dtype))
            index["weight_map"].update(dict.fromkeys(part, name))
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(files.config(vocabulary, tie_word_embeddings=tied, **changes))
    (folder / "tokenizer.json").write_text(BPE.json(BYTE_LEVEL), encoding="utf-8")
    return folder


def run(path, *options):
    return subprocess.run([PROGRAM, "--weights", path, "--prompt", PROMPT, "--tokens", "10", *options],
                          capture_output=True, encoding="utf-8", errors="replace")


# ---- what works ------------------------------------------------------------------------------------------------------

def generate(folder, *options):
    """Runs the app. Returns what it prints, without the device and the times."""
    result = run(folder, *options)
    if "there is no Vulkan device" in result.stderr:
        print(result.stderr)
        sys.exit(0)
    assert result.returncode == 0, result
    return "\n".join(line for line in result.stdout.splitlines()[1:] if not line.startswith(("prefill:", "decoding:")))


def check_models(root):
    plain = generate(make(root / "plain"), "--check")
    print(plain)
    assert plain.startswith(PROMPT) and plain.endswith("check: passed")
    text = plain.split("\ncheck:")[0]
    assert generate(make(root / "f16", dtype="F16")) == text
    assert generate(make(root / "bf16 in files", dtype="BF16", shards=3)) == text
    other = generate(make(root / "other", tied=True, rms_norm_eps=0.01, keep_window_size=20,
                          rope_parameters={"rope_theta": 500.0, "rope_type": "dynamic"}), "--check")
    assert other.endswith("check: passed") and not other.startswith(text)


def check_ends(root):
    """The text ends after a token that ends texts."""
    assert generate(make(root / "no end", silent=True, eos_token_id=[5, 1])) == PROMPT + 10 * "\\x00"
    assert generate(make(root / "end", silent=True, eos_token_id=[5, 0])) == PROMPT + "\\x00"


def check_bytes(root):
    """Without tokenizer.json, a token is a byte. The single file of such a model is enough."""
    folder = make(root / "bytes", vocabulary=256)
    (folder / "tokenizer.json").unlink()
    assert generate(folder) == generate(folder / "model.safetensors", "--window", "8")


# ---- what is refused -------------------------------------------------------------------------------------------------

def file_faults():
    """File, its new content or a function that changes it, and what the message must say. None: there is no file."""
    index = "model.safetensors.index.json"
    one = lambda tensor, file: json.dumps({"weight_map": {tensor: file}})
    yield "config.json", "", "is not valid JSON"
    yield "config.json", "[]", "is not a JSON object"
    yield "config.json", "{}", "model_type"
    yield "config.json", lambda data: data[:-9], "is not valid JSON"
    yield "tokenizer.json", None, "does not exist, and the model has"
    yield "tokenizer.json", "{}", "no model of the type BPE"
    yield "tokenizer.json", lambda data: data[:1000], "is not valid JSON"
    yield "tokenizer.json", lambda data: data.replace(b'"id": ', b'"id": 9'), "tokens, but the model has"
    yield "model.safetensors", None, "No such file"
    yield "model.safetensors", b"", "is truncated"
    yield "model.safetensors", lambda data: data[:-1], "ends beyond the end of the file"
    yield "model.safetensors", lambda data: data.replace(b"1.self_attn.A", b"1.self_attn.B"), "'model.layers.1."
    rename = lambda old, new: lambda data: data.replace(old, new)
    yield "model.safetensors", rename(b"q_norm.weight", b"q_norm.weighs"), "no tensor model.layers.0.self_attn.q_norm"
    yield "model.safetensors", rename(b"model.norm.weight", b"model.norm.weighs"), "no tensor model.norm.weight"
    yield "model.safetensors", rename(b"lm_head.weight", b"lm_head.bias__"), "'lm_head.bias__', which is not one"
    yield "model.safetensors", rename(b'"F32"', b'"I32"'), "no tensor model.embed_tokens.weight of type"
    yield index, "{", "is not valid JSON"
    yield index, "{}", "no weight_map"
    yield index, one("a", 5), "does not name a file of its folder for the tensor 'a'"
    yield index, one("a", "../model.safetensors"), "does not name a file of its folder"
    yield index, one("a", "/dev/zero"), "does not name a file of its folder"
    yield index, one("a", "none.safetensors"), "No such file"
    yield index, one("a", "model.safetensors"), "says that the tensor 'a' is in model.safetensors, but it is not"
    yield index, one("lm_head.weight", "model.safetensors"), "names 1 tensors, but its files have"
    yield index, json.dumps({"weight_map": {str(i): str(i) for i in range(1025)}}), "more than 1024 files"


def config_faults():
    yield {"model_type": "llama"}, "model_type"
    yield {"is_moe": True}, "is_moe"
    yield {"attention_bias": True}, "attention_bias"
    yield {"mlp_bias": True}, "mlp_bias"
    yield {"sliding_window": 5}, "sliding_window"
    yield {"hidden_act": "gelu"}, "hidden_act"
    yield {"rope_parameters": {"rope_type": "yarn"}}, "rope_type"
    yield {"rope_parameters": {"rope_type": "default", "rope_theta": 0}}, "rope_theta"
    yield {"rope_parameters": {"rope_type": "dynamic"}, "max_position_embeddings": 20}, "more than the 20"
    yield {"rms_norm_eps": "x"}, "rms_norm_eps"
    yield {"keep_window_size": 0.5}, "keep_window_size"
    yield {"keep_window_size": 1e10}, "keep_window_size"
    yield {"eos_token_id": "x"}, "eos_token_id"
    yield {"eos_token_id": [*range(9)]}, "eos_token_id"


def expect_refused(path, part, *options):
    result = run(path, *options)
    assert result.returncode == 2 and part in result.stderr and result.stderr.count("\n") == 1, (part, result)


def check_refusals(root):
    folder = make(root / "refused")
    for name, content, part in file_faults():
        path = folder / name
        before = path.read_bytes() if path.exists() else None
        if callable(content):
            content = content(before)
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        expect_refused(folder, part)
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
    for change, part in config_faults():
        (folder / "config.json").write_text(files.config(VOCABULARY, **change))
        expect_refused(folder, part)
    (folder / "config.json").write_text(files.config(VOCABULARY))
    expect_refused(folder, "--prompt: the text is not UTF-8", "--prompt", b"\xff")
    expect_refused(folder / "model.safetensors", "tokens, not one for each byte")
    expect_refused(root, "cannot be read")
    expect_refused("x" * 5000, "too long")


def main():
    with tempfile.TemporaryDirectory() as name:
        for check in (check_refusals, check_models, check_ends, check_bytes):
            check(pathlib.Path(name))


main()
