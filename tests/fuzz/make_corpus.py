#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the inputs that the fuzz targets start from: make_corpus.py FOLDER (tests/fuzz/corpus)."""
import json
import struct
import sys
from pathlib import Path

SIZES = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4, "U8": 1, "BOOL": 1}


def safetensors(metadata, tensors):
    """tensors: name -> (type, shape, data); data may be one number that is repeated."""
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (dtype, shape, value) in tensors.items():
        count = 1
        for extent in shape:
            count *= extent
        values = value if isinstance(value, list) else [value] * count
        form = {"F32": "f", "F16": "e", "I32": "i", "U8": "B", "BOOL": "B"}
        if dtype == "BF16":
            part = b"".join(struct.pack("<f", x)[2:] for x in values)
        else:
            part = struct.pack(f"<{count}{form[dtype]}", *values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def qkv(dtype, queries, keys, heads=1, kv_heads=1):
    return {
        "q": (dtype, [1, queries, heads, 8], 0.5),
        "k": (dtype, [1, keys, kv_heads, 8], 0.25),
        "v": (dtype, [1, keys, kv_heads, 8], 1.0),
    }


def importance(kv_heads=1):
    return {"dt_weight": ("F32", [kv_heads, kv_heads * 8], 0.125), "a": ("F16", [kv_heads], 1.0)}


def cases():
    attention = {"op": "attention"}
    dma = {"op": "dma", "selection": "topw_causal", "window": "1", "causal": "1"}
    yield "plain", safetensors(attention, qkv("F32", 2, 2))
    yield "mask", safetensors(
        {**attention, "causal": "1", "scale": "0.5", "soft_cap": "30"},
        {**qkv("F16", 2, 3, 2), "mask": ("U8", [1, 1, 2, 3], 1), "bias": ("F32", [1, 2, 1, 3], -1.0)},
    )
    yield "intervals", safetensors(
        {**attention, "intervals": "1"},
        {
            **qkv("BF16", 2, 2),
            "begin": ("I32", [1, 1, 2], [0, 1]),
            "end": ("I32", [1, 1, 2], 2),
            "bias": ("F32", [1, 1, 2], 0.0),
            "dout": ("BF16", [1, 2, 1, 8], 1.0),
        },
    )
    yield "dma", safetensors(dma, {**qkv("F32", 3, 3), **importance(), "dt_bias": ("F32", [1], 0.5)})
    yield "gradients", safetensors(
        {**dma, "activation": "softplus", "sinks": "1", "recent": "1", "sliding": "2"},
        {**qkv("F16", 2, 2, 2, 2), **importance(2), "dout": ("F16", [1, 2, 2, 8], 1.0)},
    )
    yield "documents", safetensors(
        {"op": "dma", "selection": "threshold", "threshold": "0"},
        {
            **qkv("F32", 2, 3),
            **importance(),
            "key_valid": ("BOOL", [1, 3], [1, 0, 1]),
            "query_offsets": ("I32", [1, 3], [0, 1, 2]),
            "key_offsets": ("I32", [1, 3], [0, 2, 3]),
        },
    )
    yield "offsets_beyond", safetensors(
        dma,
        {
            **qkv("F32", 1, 1),
            **importance(),
            "query_offsets": ("I32", [1, 2], [0, 1]),
            "key_offsets": ("I32", [1, 2], [0, 40]),
        },
    )
    yield "line_feed", safetensors({"op": "a\nb"}, {})
    yield "nul_in_name", safetensors(attention, {"q\0x": ("U8", [], 1)})


def weights():
    hidden, inner = 4, 4
    layer = {
        "input_layernorm.weight": [hidden],
        "self_attn.q_proj.weight": [8, hidden],
        "self_attn.k_proj.weight": [8, hidden],
        "self_attn.v_proj.weight": [8, hidden],
        "self_attn.q_norm.weight": [8],
        "self_attn.k_norm.weight": [8],
        "self_attn.dt_proj.weight": [1, 8],
        "self_attn.A": [1],
        "self_attn.o_proj.weight": [hidden, 8],
        "input_residual": [hidden],
        "post_attention_layernorm.weight": [hidden],
        "mlp.gate_proj.weight": [inner, hidden],
        "mlp.up_proj.weight": [inner, hidden],
        "mlp.down_proj.weight": [hidden, inner],
        "post_attention_residual": [hidden],
    }
    shapes = {"model.embed_tokens.weight": [256, hidden]}
    shapes.update({f"model.layers.0.{name}": shape for name, shape in layer.items()})
    shapes.update({"model.norm.weight": [hidden], "lm_head.weight": [256, hidden]})
    yield "one_layer", safetensors(None, {name: ("BF16", shape, 1.0) for name, shape in shapes.items()})


def pretrained():
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    vocabulary = {chr(b): b for b in range(0x21, 0x7F)}
    vocabulary.update({"\u0120": 1, "\u010a": 2, "th": 3, "\u0120th": 4, "\u00c3": 5, "\u00b6": 6})
    split = {"type": "Split", "behavior": "Isolated", "pattern": {"Regex": (
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
        "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")}}
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [200]}}}
    model = {"type": "BPE", "ignore_merges": True, "vocab": vocabulary, "merges": ["t h", ["\u0120", "th"]]}
    write = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    yield "gpt2", write({
        "added_tokens": [], "normalizer": {"type": "NFC"}, "pre_tokenizer": byte_level, "model": model})
    yield "llama3", write({
        "added_tokens": [{"id": 200, "content": "<s>", "lstrip": False}], "model": model,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            split, {"type": "Digits"}, {**byte_level, "use_regex": False}]},
        "post_processor": {"type": "Sequence", "processors": [byte_level, template]}})
    # A finding: an added token that is a part of a character.
    part = write({"added_tokens": [{"id": 200, "content": "\xb6"}], "pre_tokenizer": byte_level, "model": model})
    yield "part_of_character", part.replace("\xb6".encode(), b"\xb6", 1)
    yield "config", write({
        "model_type": "doge", "keep_window_size": 8, "rms_norm_eps": 1e-6, "eos_token_id": [1, 2],
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4}, "max_position_embeddings": 64})
    yield "index", write({"metadata": {}, "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})


def result(**fields):
    return {
        "type": "f16",
        "batch": 1,
        "heads": 2,
        "kv_heads": 1,
        "queries": 64,
        "keys": 64,
        "head_dim": 64,
        "value_dim": 64,
        "mask": "causal",
        "pass": "forward",
        "status": "ok",
        "median_ms": 1.5,
        **fields,
    }


def results():
    run = {
        "schema": 2,
        "program": "vkbench",
        "version": "0.1.0",
        "commit": "abc",
        "date": "2026-01-02",
        "device": {"name": "D", "driver": "d", "type": "discrete"},
        "ceilings": {"copy": {"gbytes_s": 1000}, "f32_fma": {"tflops": 50}, "f16_matrices": {"missing": "no"}},
        "results": [
            result(samples_ms=[1, 1.5, 2], confidence={"low_ms": 1, "high_ms": 2}, tflops=3, gbytes_s=9),
            result(mask="topw:8", visible_pairs=900, tflops=3, gbytes_s=90, speedup_over_dense=2),
            result(queries=128, keys=128, model="m", bias=True, throttled=True),
            result(peer="cudnn", status="wrong", sentence="a | b"),
            result(queries=1, **{"pass": "decode"}, repeat=1, requested_level="matrix"),
        ],
    }
    peer = {"schema": 1, "program": "pytorch 2", "results": [result(peer="flash", samples_ms=[2])]}
    yield "run", json.dumps(run).encode()
    yield "runs", json.dumps({"schema": 2, "runs": [run, peer]}).encode()
    yield "ggml", next(ggml())[1]


def ggml():
    yield "console", b"""Backend 1/2: Vulkan0
  Device description: Card
  FLASH_ATTN_EXT(hsk=128,hsv=128,nh=8,nr23=[4,1],kv=7680,nb=1,mask=1,sinks=0,max_bias=0.000000,logit_softcap=0.000000,\
prec=f32,type_KV=f16,permute=[0,1,2,3]):               8190 runs -   123.69 us/run - 125.83 MFLOP/run -   1.02 TFLOPS
"""
    yield "sql", b"""INSERT INTO test_backend_ops (build_commit, backend_name, op_name, op_params, test_mode, supported, \
passed, error_message, time_us, flops, n_runs, device_description, backend_reg_name) VALUES ('abc', 'Vulkan0', \
'FLASH_ATTN_EXT', 'hsk=64,hsv=64,nh=4,nr23=[1,1],kv=64,nb=8,mask=0,type_KV=f16', 'perf', '1', '1', '', '12.5', '1e9', \
'80', 'Card', 'Vulkan');
"""


def shapes():
    yield "two", b"# name heads kv_heads head_dim value_dim\nllama-3-8b 32 8 128\nmla.x_1 16 16 192 128 # keys\r\n"
    yield "wrong", b"a 3 2 64\n"


def options():
    yield "sweep", b"--n\n1K,2048\n--d\n64,128\n--kv-heads\n1,2\n--type\nf16,bf16\n--mask\ndense:0.3,topw,topw:64\n--pass\nboth"
    yield "suite", b"--suite\nquick\n--filter\n/mask/\n--json\n-\n--seed\n7\n--repeat-run\n2\n--cold"
    yield "decode", b"--pass\ndecode\n--keys\n70\n--queries\n2\n--batch\n2\n--heads\n4\n--mask\npaged:0.3,topw:16"
    yield "models", b"--model\nall\n--time\n0.5\n--level\nmatrix2\n--device=0\n--tune\nx"


def descriptors():
    for kind in (0, 5, 8):
        for operator in range(6):
            yield f"{kind}-{operator}", bytes([kind, 0, 1, 3, 2, 3, 1, 0, operator])
    # Findings: an importance that is given, and an unknown type of its parameters; the slices of a bias' gradient.
    yield "unused_type", bytes.fromhex("013f8c232e")
    yield "bias_slices", bytes.fromhex("ff01676767117f6767670000004060")


def main():
    folder = Path(sys.argv[1])
    for name, make in (
        ("case", cases),
        ("weights", weights),
        ("pretrained", pretrained),
        ("results", results),
        ("ggml", ggml),
        ("shapes", shapes),
        ("options", options),
        ("descriptors", descriptors),
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for seed, data in make():
            (folder / name / seed).write_bytes(data)


main()
