# SPDX-License-Identifier: MIT
"""The files of a small Doge model as Hugging Face's transformers saves them, and byte-level BPE in plain Python."""
import json
import random
import re
import struct
import unicodedata

# ---- byte-level BPE --------------------------------------------------------------------------------------------------

# The characters that stand for the bytes 0 to 255: printable ones for themselves, the others by U+0100 and following.
PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
OTHERS = [b for b in range(256) if b not in PRINTABLE]
ALPHABET = {**{b: chr(b) for b in PRINTABLE}, **{b: chr(256 + i) for i, b in enumerate(OTHERS)}}

CONTRACTIONS = "'s|'t|'re|'ve|'m|'ll|'d"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = CONTRACTIONS + r"| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = "(?i:" + CONTRACTIONS + r")|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST
QWEN2 = "(?i:" + CONTRACTIONS + r")|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST


def stand_in(character):
    """An ASCII character of the same kind, for Python's re, which has no \\p. ASCII stands for itself."""
    kind = unicodedata.category(character)[0]
    if ord(character) < 128:
        return character
    return "s" if character == "\u017f" else "x" if kind == "L" else "0" if kind == "N" \
        else "\t" if character in "\x85\xa0" or (character.isspace() and kind == "Z") else "*"


def split(expression, text):
    """The matches of the expression in the text."""
    plain = expression.replace("[^\\r\\n\\p{L}\\p{N}]", "[^\\r\\na-zA-Z0-9]").replace(
        "[^\\s\\p{L}\\p{N}]", "[^\\sa-zA-Z0-9]").replace("\\p{L}", "[a-zA-Z]").replace("\\p{N}", "[0-9]")
    plain = plain.replace("\\s", "[\\t-\\r ]").replace("\\S", "[^\\t-\\r ]").replace("[^[\\t-\\r ]", "[^\\t-\\r ")
    words, at = [], 0
    for match in re.finditer(plain, "".join(map(stand_in, text))):
        assert match.start() == at
        words.append(text[at:match.end()])
        at = match.end()
    assert at == len(text)
    return words


class Bpe:
    """A byte-level tokenizer: merges of pairs of byte strings in order, and splitters: functions from text to words."""

    def __init__(self, merges, splitters, added=(), before=(), after=(), ignore_merges=False, first=0):
        self.merges, self.splitters, self.added = list(merges), splitters, list(added)
        self.before, self.after, self.ignore_merges = list(before), list(after), ignore_merges
        tokens = [bytes([b]) for b in range(256)] + [a + b for a, b in self.merges]
        self.vocabulary = {token: first + i for i, token in enumerate(tokens)}
        self.numbers = {text: first + len(tokens) + i for i, text in enumerate(self.added)}

    def size(self):
        return max([*self.vocabulary.values(), *self.numbers.values()]) + 1

    def word(self, word):
        if self.ignore_merges and word in self.vocabulary:
            return [self.vocabulary[word]]
        parts = [bytes([b]) for b in word]
        ranks = {pair: i for i, pair in enumerate(self.merges)}
        while True:
            pairs = [(ranks.get(pair, len(ranks)), i) for i, pair in enumerate(zip(parts, parts[1:]))]
            rank, i = min(pairs, default=(len(ranks), 0))
            if rank == len(ranks):
                return [self.vocabulary[part] for part in parts]
            parts[i:i + 2] = [parts[i] + parts[i + 1]]

    def encode(self, text):
        result = list(self.before)
        pattern = "|".join(re.escape(a) for a in sorted(self.added, key=len, reverse=True))
        for piece in re.split("(%s)" % pattern, text) if pattern else [text]:
            if piece in self.numbers:
                result.append(self.numbers[piece])
                continue
            words = [piece] if piece else []
            for splitter in self.splitters:
                words = [word for part in words for word in splitter(part)]
            for word in words:
                result.extend(self.word(word.encode()))
        return result + self.after

    def json(self, pre_tokenizer, pairs=False, **changes):
        """The content of tokenizer.json."""
        write = lambda token: "".join(ALPHABET[b] for b in token)
        merges = [[write(a), write(b)] if pairs else write(a) + " " + write(b) for a, b in self.merges]
        special = {"<%d>" % n: {"id": "<%d>" % n, "ids": [n], "tokens": ["?"]} for n in self.before + self.after}
        part = lambda n: {"SpecialToken": {"id": "<%d>" % n, "type_id": 0}}
        single = [*map(part, self.before), {"Sequence": {"id": "A", "type_id": 0}}, *map(part, self.after)]
        template = {"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": special}
        byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
        return json.dumps({
            "version": "1.0", "truncation": None, "padding": None, "normalizer": None,
            "added_tokens": [{"id": n, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
                              "normalized": False, "special": True} for text, n in self.numbers.items()],
            "pre_tokenizer": pre_tokenizer, "decoder": byte_level,
            "post_processor": {"type": "Sequence", "processors": [byte_level, template]} if special else byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                      "ignore_merges": self.ignore_merges, "merges": merges,
                      "vocab": {write(token): n for token, n in self.vocabulary.items()}}, **changes},
            ensure_ascii=False)


def train(text, splitters, count):
    """The merges of a text: always the most frequent pair of neighbours."""
    words = [text]
    for splitter in splitters:
        words = [word for part in words for word in splitter(part)]
    parts, merges = [[bytes([b]) for b in word.encode()] for word in words], []
    while len(merges) < count:
        pairs = {}
        for word in parts:
            for pair in zip(word, word[1:]):
                pairs[pair] = pairs.get(pair, 0) + 1
        if not pairs:
            break
        best = max(sorted(pairs), key=pairs.get)
        merges.append(best)
        for word in parts:
            i = 0
            while i + 1 < len(word):
                if (word[i], word[i + 1]) == best:
                    word[i:i + 2] = [word[i] + word[i + 1]]
                i += 1
    return merges


# ---- weights ---------------------------------------------------------------------------------------------------------

def shapes(vocabulary, layers=2, hidden=32, heads=4, kv_heads=2, dim=8, inner=48, tied=False):
    q, kv = heads * dim, kv_heads * dim
    layer = {"input_layernorm.weight": [hidden], "self_attn.q_proj.weight": [q, hidden],
             "self_attn.k_proj.weight": [kv, hidden], "self_attn.v_proj.weight": [kv, hidden],
             "self_attn.q_norm.weight": [dim], "self_attn.k_norm.weight": [dim],
             "self_attn.dt_proj.weight": [kv_heads, kv], "self_attn.A": [kv_heads],
             "self_attn.o_proj.weight": [hidden, q], "input_residual": [hidden],
             "post_attention_layernorm.weight": [hidden], "mlp.gate_proj.weight": [inner, hidden],
             "mlp.up_proj.weight": [inner, hidden], "mlp.down_proj.weight": [hidden, inner],
             "post_attention_residual": [hidden]}
    result = {"model.embed_tokens.weight": [vocabulary, hidden], "model.norm.weight": [hidden]}
    for i in range(layers):
        result.update({"model.layers.%d.%s" % (i, name): shape for name, shape in layer.items()})
    if not tied:
        result["lm_head.weight"] = [vocabulary, hidden]
    return result


def pack(dtype, numbers):
    if dtype == "BF16":
        return b"".join(struct.pack("<f", x)[2:] for x in numbers)
    return struct.pack("<%d%s" % (len(numbers), {"F32": "f", "F16": "e"}[dtype]), *numbers)


def random_weights(tensors, seed=1):
    """Name: numbers, each of which F32, F16 and BF16 can hold."""
    rng, result = random.Random(seed), {}
    for name, shape in tensors.items():
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        middle, spread = (0, shape[1] ** -0.5) if len(shape) == 2 else (0.5, 0.25) if name.endswith(".A") else (1, 0.1)
        if "embed" in name:
            spread = 1
        bits = [struct.unpack("<I", struct.pack("<f", rng.gauss(middle, spread)))[0] & 0xFFFF0000 for _ in range(count)]
        numbers = [struct.unpack("<f", struct.pack("<I", b))[0] for b in bits]  # 8 bits of precision, of all types
        result[name] = [x if abs(x) > 2 ** -14 else 0.0 for x in numbers]
    return result


def safetensors(tensors, weights, dtype):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, shape in tensors.items():
        part = pack(dtype, weights[name])
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def config(vocabulary, **changes):
    return json.dumps({
        "architectures": ["DogeForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": None,
        "dtype": "float32", "eos_token_id": None, "hidden_act": "silu", "hidden_dropout": 0.0, "hidden_size": 32,
        "intermediate_size": 48, "is_moe": False, "keep_window_size": 8, "max_position_embeddings": 4096,
        "mlp_bias": False, "model_type": "doge", "num_attention_heads": 4, "num_hidden_layers": 2,
        "num_key_value_heads": 2, "pad_token_id": None, "rms_norm_eps": 1e-06,
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}, "sliding_window": None,
        "tie_word_embeddings": False, "transformers_version": "5.17.0", "use_cache": True, "vocab_size": vocabulary,
        **changes}, indent=2)
