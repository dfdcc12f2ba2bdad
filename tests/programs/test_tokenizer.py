#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The tokenizer of the example app against byte-level BPE in plain Python, on random texts; files that it must refuse.

    test_tokenizer.py TOKENIZER_IDS"""
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import pretrained_files as files
from pretrained_files import Bpe, GPT2, LLAMA3, QWEN2

PROGRAM = sys.argv[1]
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
SAMPLE = ("The keys that a query sees are the most important ones of its prefix; they're evicted when others have come. "
          "Don't we'll I'VE  3 12345 x=1\n\n\tfür größere Straßen, 東京タワー, Ελλάδα, русский. ½ ٣٤ 😀😀!") * 3
PIECES = ["a", "the", "THE", "ß", "é", "東京", "и", "1", "23", "456", "½", "٣", "²", " ", "  ", "\t", "\n", "\r\n", "\n\n",
          "\u00a0", "\u3000", "\u2028", "\x85", "\x1c", "!", "...", "😀", "'", "'s", "'S", "'ll", "'LL", "'lL", "'ſ", "'x",
          "’s", "_", "-", "$", "\u0301", "\u200b", "<|end|>", "<|end|>x", "<|e", "<|", "\x01", "\x7f", "\u00ad", "=", "re",
          "ve"]


def split_by(expression, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": expression}, "behavior": behavior, "invert": invert}


def in_sequence(*parts):
    return {"type": "Sequence", "pretokenizers": [*parts, {**BYTE_LEVEL, "use_regex": False}]}


def digits(text, alone=False):
    """Splits before and after numbers."""
    words = []
    for c in text:
        number = files.unicodedata.category(c)[0] == "N"
        if words and words[-1][0] == number and not (alone and number):
            words[-1] = (number, words[-1][1] + c)
        else:
            words.append((number, c))
    return [word for _, word in words]


def kinds():
    """Name, splitters, pre_tokenizer, and how the tokenizer is made."""
    by = lambda expression: lambda text: files.split(expression, text)
    yield "GPT-2", [by(GPT2)], BYTE_LEVEL, {}
    yield "GPT-2, pairs", [by(GPT2)], in_sequence(split_by(GPT2)), {"added": ["<|end|>", "<|e"], "first": 7}
    yield "Llama 3", [by(LLAMA3)], in_sequence(split_by(LLAMA3)), {
        "added": ["<|end|>", "<|end|>x"], "before": [256], "ignore_merges": True}
    yield "Llama 3, inverted", [by(LLAMA3)], in_sequence(split_by(LLAMA3, "Removed", True)), {
        "before": [256, 257], "after": [258]}
    yield "Qwen 2", [by(QWEN2)], in_sequence(split_by(QWEN2)), {"added": ["<|end|>"]}
    yield "digits", [digits, by(GPT2)], {"type": "Sequence", "pretokenizers": [{"type": "Digits"}, BYTE_LEVEL]}, {}
    yield "single digits", [lambda text: digits(text, True), by(GPT2)], {
        "type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTE_LEVEL]}, {}


def run(path, texts):
    lines = "".join(text.hex() + "\n" for text in texts)
    return subprocess.run([PROGRAM, path], input=lines, capture_output=True, text=True)


def check_texts(folder, name, splitters, pre_tokenizer, how):
    rng = random.Random(name)
    texts = [SAMPLE, "", " ", "'", "x" * 300]
    texts += ["".join(rng.choices(PIECES, k=rng.randrange(1, 12))) for _ in range(1500)]
    bpe = Bpe(files.train(SAMPLE, splitters, 90), splitters, **how)
    path = folder / "tokenizer.json"
    path.write_text(bpe.json(pre_tokenizer, pairs="pairs" in name), encoding="utf-8")
    result = run(path, [text.encode() for text in texts])
    lines = result.stdout.splitlines()
    assert result.returncode == 0 and len(lines) == len(texts), (name, result)
    around = len(bpe.before), len(bpe.after)
    for text, line in zip(texts, lines):
        numbers, _, data = line.partition("|")
        got, want = [int(n) for n in numbers.split()], bpe.encode(text)
        assert got == want, (name, text, got, want)
        if around == (0, 0):
            assert bytes.fromhex(data) == text.encode(), (name, text, data)
    print("%s: %d texts" % (name, len(texts)))


def refusals():
    """Changes of the file, and what the message must say."""
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}], "special_tokens": {
        "<s>": {"ids": list(range(17))}}}
    added = {"id": 300, "content": "<s>"}
    yield {"model": None}, "no model of the type BPE"
    yield {"model": {"type": "Unigram", "vocab": [], "merges": []}}, "no model of the type BPE"
    yield {"model": {"type": "BPE", "vocab": {}, "merges": []}}, "has no tokens"
    yield {"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}, "no number below 4194304 for the token 'a'"
    yield {"model": {"type": "BPE", "vocab": {"a": 1.5}, "merges": []}}, "no number below"
    yield {"model": {"type": "BPE", "vocab": {"a": 1e9}, "merges": []}}, "no number below"
    yield {"model": {"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []}}, "gives the number 0 to two tokens"
    yield {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["ab"]}}, "not a pair"
    yield {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a a"]}}, "not in the vocabulary"
    yield {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a"]]}}, "not a pair of tokens"
    yield {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "a", "a"]]}}, "not a pair of tokens"
    yield {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a \u4e00"]}}, "stands for no byte"
    yield {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.1}}, "dropout"
    yield {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "end_of_word_suffix": "_"}}, "end_of_word_suffix"
    yield {"pre_tokenizer": None}, "not a byte-level tokenizer"
    yield {"pre_tokenizer": {"type": "Metaspace"}}, "'Metaspace'"
    yield {"pre_tokenizer": {**BYTE_LEVEL, "add_prefix_space": True}}, "add_prefix_space"
    yield {"pre_tokenizer": in_sequence(split_by("[a-z]+"))}, "pattern that is not supported: '[a-z]+'"
    yield {"pre_tokenizer": in_sequence(split_by(GPT2, "Removed"))}, "pattern that is not supported"
    yield {"pre_tokenizer": in_sequence(BYTE_LEVEL)}, "after ByteLevel"
    yield {"pre_tokenizer": in_sequence(*[{"type": "Digits"}] * 9)}, "more than 8 patterns"
    yield {"normalizer": {"type": "Lowercase"}}, "normalizer 'Lowercase'"
    yield {"added_tokens": 5}, "added_tokens"
    yield {"added_tokens": [{"id": 3}]}, "added token without"
    yield {"added_tokens": [{**added, "lstrip": True}]}, "lstrip"
    yield {"added_tokens": [{**added, "id": 65}]}, "gives the number 65 to two tokens"
    for ids in ([256], [-1], ["a"]):
        of = {"<s>": {"ids": ids}}
        yield {"post_processor": {**template, "special_tokens": of}}, "a token that does not exist"
    yield {"post_processor": {"type": "BertProcessing"}}, "BertProcessing"
    yield {"post_processor": template}, "more than 16 tokens"
    yield {"post_processor": {"type": "Sequence", "processors": [{"type": "Sequence"}]}}, "within another"


def check_refusals(folder):
    bpe, path = Bpe([], []), folder / "tokenizer.json"
    content = json.loads(bpe.json(BYTE_LEVEL))
    for change, part in refusals():
        path.write_text(json.dumps({**content, **change}), encoding="utf-8")
        result = run(path, [])
        assert result.returncode == 2 and part in result.stdout and result.stdout.count("\n") == 1, (change, result)
    whole = bpe.json(BYTE_LEVEL).encode()
    for broken, part in ((b"", "not valid JSON"), (whole[:-1], "not valid JSON"), (whole + b"x", "not valid JSON"),
                         (whole[:50] + b"\0" + whole[50:], "NUL"),
                         (whole.replace(b'"added_tokens": [', b'"added_tokens": [{"id": 256, "content": "\x9c"}'),
                          "an added token that is not UTF-8"), (b"[" * 100000, "not valid JSON")):
        path.write_bytes(broken)
        result = run(path, [])
        assert result.returncode == 2 and part in result.stdout, (broken[:20], result)


def check_sentences(folder):
    """Texts that cannot be encoded."""
    path = folder / "tokenizer.json"
    content = json.loads(Bpe([], []).json(BYTE_LEVEL, normalizer={"type": "NFC"}))
    del content["model"]["vocab"]["Z"]
    path.write_text(json.dumps(content), encoding="utf-8")
    texts = [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"aZ"]
    texts += ["e\u0301".encode(), "é".encode()]
    parts = ["at byte 0", "at byte 1", "at byte 0", "at byte 0", "at byte 0", "byte 0x5a", "U+0301", "|c3a9"]
    lines = run(path, texts).stdout.splitlines()
    assert len(lines) == len(parts) and all(part in line for part, line in zip(parts, lines)), lines


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for kind in kinds():
            check_texts(folder, *kind)
        check_refusals(folder)
        check_sentences(folder)


main()
