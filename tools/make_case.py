#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a case file for dmattn-run: random inputs, and the results by brute force from the definition.

    make_case.py case.safetensors --gradients
    dmattn-run --check case.safetensors

docs/cases.md describes the file. Everything is computed in double precision by loops over all pairs of a query and a
key, with nothing but Python's standard library, so small sizes are right: the time grows with
batch x heads x queries x keys x dimensions. To make a case of your own, import this file, change the tensors of
random_inputs() or make other ones, then call solve() and write_case().
"""
import argparse
import itertools
import json
import math
import random
import struct
import sys

# ---- tensors ---------------------------------------------------------------------------------------------------------

SIZES = {"F32": 4, "F16": 2, "BF16": 2, "U8": 1, "I32": 4}
FORMATS = {"F32": "<%df", "F16": "<%de", "U8": "<%dB", "I32": "<%di"}


def bf16_bits(x):
    """The bits of x as bf16, rounded to nearest even. x is finite."""
    bits = struct.unpack("<I", struct.pack("<f", x))[0]
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def rounded(dtype, x):
    """x as a number of the type."""
    if dtype == "BF16":
        return struct.unpack("<f", struct.pack("<I", bf16_bits(x) << 16))[0]
    return struct.unpack(FORMATS[dtype] % 1, struct.pack(FORMATS[dtype] % 1, x))[0]


class Tensor:
    """Numbers in row-major order. tensor[i, j] is an element."""

    def __init__(self, dtype, shape, data=None):
        self.dtype, self.shape = dtype, tuple(shape)
        self.data = data if data is not None else [0] * math.prod(self.shape)

    def at(self, index):
        place = 0
        for i, extent in zip(index, self.shape):
            place = place * extent + (i if extent > 1 else 0)  # an extent of 1 is used for every index
        return place

    def __getitem__(self, index):
        return self.data[self.at(index)]

    def __setitem__(self, index, value):
        self.data[self.at(index)] = value

    def row(self, *index):
        """The last dimension at an index of the others."""
        start = self.at(index) * self.shape[-1]
        return self.data[start:start + self.shape[-1]]

    def bytes(self):
        if self.dtype == "BF16":
            return struct.pack("<%dH" % len(self.data), *map(bf16_bits, self.data))
        return struct.pack(FORMATS[self.dtype] % len(self.data), *self.data)


def normal(rng, dtype, shape, scale=1.0):
    """Normally distributed numbers, rounded to the type."""
    return Tensor(dtype, shape, [rounded(dtype, rng.gauss(0, scale)) for _ in range(math.prod(shape))])


def write_case(path, tensors, metadata):
    """Writes a .safetensors file. `tensors`: {name: Tensor}; `metadata`: {name: text or number}."""
    header, place = {"__metadata__": {name: str(value) for name, value in metadata.items()}}, 0
    for name, tensor in tensors.items():
        end = place + len(tensor.data) * SIZES[tensor.dtype]
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [place, end]}
        place = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.bytes())


# ---- formats of k and v ----------------------------------------------------------------------------------------------


def e4m3(code):
    """The number of a code of fp8 e4m3."""
    exponent, mantissa = code >> 3 & 15, code & 7
    size = math.ldexp(8 + mantissa, exponent - 10) if exponent else math.ldexp(mantissa, -9)
    return -size if code & 0x80 else size


E4M3 = sorted((e4m3(code), code) for code in range(0x7F))  # the numbers from 0 to 448


def e4m3_code(x):
    """The code of the number that is nearest to x; of two equally near ones, the even code."""
    distance, odd, code = min((abs(abs(x) - number), code & 1, code) for number, code in E4M3)
    return code | (0x80 if x < 0 else 0)


def half(x):
    return list(struct.pack("<e", x))


def stored_row(form, row):
    """The bytes of a row of numbers, and its scale, or None."""
    if form in ("int8", "e4m3"):
        scale = rounded("F32", max(map(abs, row)) / (127 if form == "int8" else 448))
        inverse = rounded("F32", 1 / scale) if scale else 0
        scaled = [rounded("F32", x * inverse) for x in row]
        return [round(x) & 0xFF if form == "int8" else e4m3_code(x) for x in scaled], scale
    result = []
    for start in range(0, len(row), 32):
        block = row[start:start + 32]
        largest = max(block, key=abs)
        d = rounded("F32", abs(largest) / 127 if form == "q8_0" else largest / -8)
        inverse = rounded("F32", 1 / d) if d else 0
        scaled = [rounded("F32", x * inverse) for x in block]
        if form == "q8_0":
            result += half(d) + [round(x) & 0xFF for x in scaled]
        else:
            codes = [min(15, int(rounded("F32", x + 8.5))) for x in scaled]
            result += half(d) + [low | high << 4 for low, high in zip(codes, codes[16:])]
    return result, None


def row_numbers(form, row, scale):
    """The numbers of a row of bytes."""
    if form in ("int8", "e4m3"):
        numbers = [(x + 128) % 256 - 128 if form == "int8" else e4m3(x) for x in row]
        return [rounded("F32", scale * x) for x in numbers]
    result = []
    for start in range(0, len(row), 34 if form == "q8_0" else 18):
        d = struct.unpack("<e", bytes(row[start:start + 2]))[0]
        if form == "q8_0":
            result += [d * ((x + 128) % 256 - 128) for x in row[start + 2:start + 34]]
        else:
            codes = row[start + 2:start + 18]
            result += [d * ((x & 15) - 8) for x in codes] + [d * ((x >> 4) - 8) for x in codes]
    return result


def store(tensors, name, form):
    """Replaces k or v by its bytes in a format, and adds its scales."""
    tensor = tensors[name]
    rows = [stored_row(form, tensor.data[i:i + tensor.shape[3]]) for i in range(0, len(tensor.data), tensor.shape[3])]
    if form in ("int8", "e4m3"):
        tensors[name + "_scales"] = Tensor("F32", tensor.shape[:3], [scale for _, scale in rows])
    tensors[name] = Tensor("U8", tensor.shape[:3] + (len(rows[0][0]),), [x for row, _ in rows for x in row])


def with_numbers(tensors, metadata):
    """The tensors with k and v as attention reads them: numbers of the type."""
    result = dict(tensors)
    for name in "kv":
        form, tensor = metadata.get(name + "_format"), tensors.get(name)
        if "type" not in metadata or not tensor:
            continue
        dtype, numbers, row = metadata["type"].upper(), tensor.data, tensor.shape[3]
        if form:
            scales = tensors.get(name + "_scales")
            numbers = [x for i in range(len(tensor.data) // row)
                       for x in row_numbers(form, tensor.data[i * row:(i + 1) * row], scales and scales.data[i])]
        count = len(numbers) * row // len(tensor.data)
        result[name] = Tensor(dtype, tensor.shape[:3] + (count,), [rounded(dtype, x) for x in numbers])
    return result


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b))


# ---- dynamic masks ---------------------------------------------------------------------------------------------------


def softplus(z):
    return max(z, 0) + math.log1p(math.exp(-abs(z)))


def tokens_row(v, b, j):
    """The values of all heads at a key, one after the other."""
    return [x for h in range(v.shape[2]) for x in v.row(b, j, h)]


def importance(tensors, metadata):
    """[B, Hk, Sk] in double, and the z from which it is computed."""
    v, weight, a, bias = tensors["v"], tensors["dt_weight"], tensors["a"], tensors.get("dt_bias")
    batch, keys, heads = v.shape[:3]
    result, zs = Tensor("F32", (batch, heads, keys)), Tensor("F32", (batch, heads, keys))
    for b, h, j in itertools.product(range(batch), range(heads), range(keys)):
        z = dot(tokens_row(v, b, j), weight.row(h)) + (bias.data[h] if bias else 0)
        x = a.data[h] * softplus(z)
        zs[b, h, j] = z
        result[b, h, j] = x if metadata.get("activation") == "softplus" else math.exp(x)
    return result, zs


def is_ambiguous(importances, v):
    """Whether two keys have nearly the same importance, so that rounding decides which one is selected. The importance
    of keys with equal values is equal."""
    batch, heads, keys = importances.shape
    for b, h in itertools.product(range(batch), range(heads)):
        row = sorted((x, tokens_row(v, b, j)) for j, x in enumerate(importances.row(b, h)))
        if any(y - x <= 4e-6 * abs(y) and first != second for (x, first), (y, second) in zip(row, row[1:])):
            return True
    return False


def selected(values, pool, metadata):
    """The keys of the pool that the selection takes, before sinks, recent and sliding."""
    if metadata["selection"] == "none":
        return set(pool)
    if metadata["selection"] == "threshold":
        return {j for j in pool if values[j] > rounded("F32", float(metadata["threshold"]))}
    later = 1 if metadata.get("tie_break") == "earlier" else -1
    return set(sorted(pool, key=lambda j: (-values[j], later * j))[:int(metadata["window"])])


def intervals(tensors, importances, queries, metadata):
    """begin and end [B, Hk, Sk]: query t sees key j if begin <= t < end. Both are 0 if no query sees the key."""
    batch, heads, keys = importances.shape
    sinks, recent, sliding = (int(metadata.get(name, 0)) for name in ("sinks", "recent", "sliding"))
    causal, valid = metadata["causal"] == 1, tensors.get("key_valid")
    begin, end = Tensor("I32", importances.shape), Tensor("I32", importances.shape)
    for b, h in itertools.product(range(batch), range(heads)):
        values = [rounded("F32", x) for x in importances.row(b, h)]
        usable = [j for j in range(keys) if not valid or valid[b, j]]
        seen_by = {j: [] for j in range(keys)}
        for t in range(queries):
            position = t + keys - queries
            past = [j for j in usable if not causal or j <= position]
            kept = selected(values, past if metadata["selection"] == "topw_causal" else usable, metadata)
            for j in past:
                forced = j < sinks or (recent and position - recent < j <= position)
                inside = not sliding or j < sinks or position - sliding < j
                if (j in kept or forced) and inside:
                    seen_by[j].append(t)
        for j, seen in seen_by.items():
            if seen:
                begin[b, h, j], end[b, h, j] = seen[0], seen[-1] + 1
                if len(seen) != seen[-1] + 1 - seen[0]:
                    raise ValueError("key %d is not visible from one interval of queries" % j)
    return begin, end


# ---- attention -------------------------------------------------------------------------------------------------------


class Attention:
    """Attention of a case, with its gradients if there is a dout. bias: a Tensor or None; with intervals, [B, Hk, Sk]."""

    def __init__(self, tensors, metadata, bias):
        self.tensors, self.bias = tensors, bias
        self.q, self.k, self.v = tensors["q"], tensors["k"], tensors["v"]
        self.scale = float(metadata.get("scale", self.q.shape[3] ** -0.5))
        self.cap = float(metadata.get("soft_cap", 0))
        self.causal, self.additive = metadata["causal"] == 1, metadata.get("additive") == 1
        self.block = int(metadata.get("block", 1))
        self.group = self.q.shape[2] // self.k.shape[2]

    def head_of(self, tensor, h):
        """The index of query head h in a tensor that has a plane per query head, per kv head, or one for all."""
        return h if tensor.shape[1] == self.q.shape[2] else h // self.group

    def index(self, tensor, b, h, t, j):
        head = self.head_of(tensor, h)
        return (b, head, t, j) if len(tensor.shape) == 4 else (b, head, j)

    def sees(self, b, h, t, j):
        mask, begin, end, lists = (self.tensors.get(name) for name in ("mask", "begin", "end", "selected"))
        if self.causal and j > t + self.k.shape[1] - self.q.shape[1]:
            return False
        if mask and not mask[self.index(mask, b, h, t, j)]:
            return False
        if lists and j // self.block not in lists.row(b if lists.shape[0] > 1 else 0,
                                                      self.head_of(lists, h) if lists.shape[1] > 1 else 0,
                                                      t if lists.shape[2] > 1 else 0):
            return False
        if self.additive and self.bias[self.index(self.bias, b, h, t, j)] == -math.inf:
            return False
        return not begin or begin[self.index(begin, b, h, t, j)] <= t < end[self.index(end, b, h, t, j)]

    def score(self, b, h, t, j):
        """The score, and its derivative by the scaled product of q and k."""
        s, slope = self.scale * dot(self.q.row(b, t, h), self.k.row(b, j, h // self.group)), 1.0
        if self.cap:
            x = math.tanh(s / self.cap)
            s, slope = self.cap * x, 1 - x * x
        return s + self.term(b, h, t, j), slope

    def term(self, b, h, t, j):
        """What is added to a score: the bias, or minus the distance, times the slope of the head."""
        slopes = self.tensors.get("slopes")
        if not self.bias and not slopes:
            return 0.0
        distance = abs(t + self.k.shape[1] - self.q.shape[1] - j)
        x = self.bias[self.index(self.bias, b, h, t, j)] if self.bias else -distance
        return x * slopes.data[h] if slopes else x

    def sink(self, h):
        """[the sink of a query head], or [] if there are none."""
        return [self.tensors["sink"].data[h]] if "sink" in self.tensors else []

    def rows(self):
        """For each query that sees a key or has a sink: its index, lse, and [(key, probability, slope of the score)]."""
        for b, t, h in itertools.product(*map(range, self.q.shape[:3])):
            scores = [(j,) + self.score(b, h, t, j) for j in range(self.k.shape[1]) if self.sees(b, h, t, j)]
            all_scores = [s for _, s, _ in scores] + self.sink(h)
            if all_scores:
                most = max(all_scores)
                lse = most + math.log(math.fsum(math.exp(s - most) for s in all_scores))
                yield (b, t, h), lse, [(j, math.exp(s - lse), slope) for j, s, slope in scores]

    def forward(self):
        """out and lse; 0, and -infinity or the sink, for a query that sees no key."""
        batch, queries, heads = self.q.shape[:3]
        out = Tensor("F32", (batch, queries, heads, self.v.shape[3]))
        lse = Tensor("F32", (batch, heads, queries), [-math.inf] * (batch * heads * queries))
        for (b, t, h), row_lse, pairs in self.rows():
            lse[b, h, t] = row_lse
            for i in range(self.v.shape[3]):
                out[b, t, h, i] = math.fsum(p * self.v[b, j, h // self.group, i] for j, p, _ in pairs)
        return out, lse

    def backward(self, dout):
        """The gradients of sum(out * dout) + sum(lse * dlse): dq, dk, dv, and those of the bias and the sink or None."""
        dq, dk, dv = (Tensor("F32", x.shape) for x in (self.q, self.k, self.v))
        dbias = Tensor("F32", self.bias.shape) if self.bias and "slopes" not in self.tensors else None
        dsink = Tensor("F32", self.tensors["sink"].shape) if "sink" in self.tensors else None
        for (b, t, h), lse, pairs in self.rows():
            head, dout_row, q_row = h // self.group, dout.row(b, t, h), self.q.row(b, t, h)
            dp = {j: dot(dout_row, self.v.row(b, j, head)) for j, _, _ in pairs}
            delta = math.fsum(p * dp[j] for j, p, _ in pairs)
            if "dlse" in self.tensors:
                delta -= self.tensors["dlse"][b, h, t]
            if dsink:
                dsink.data[h] -= math.exp(self.sink(h)[0] - lse) * delta
            for j, p, slope in pairs:
                ds = p * (dp[j] - delta)
                if dbias:
                    dbias.data[dbias.at(self.index(dbias, b, h, t, j))] += ds
                for i, x in enumerate(dout_row):
                    dv[b, j, head, i] += p * x
                for i, x in enumerate(q_row):
                    dq[b, t, h, i] += self.scale * ds * slope * self.k[b, j, head, i]
                    dk[b, j, head, i] += self.scale * ds * slope * x
        return dq, dk, dv, dbias, dsink


def importance_backward(tensors, metadata, importances, zs, d_importance, dv):
    """Gradients of the parameters of the importance; adds the importance's part to dv."""
    v, weight, a = tensors["v"], tensors["dt_weight"], tensors["a"]
    results = {name: Tensor("F32", tensors[name[2:]].shape) for name in ("d_dt_weight", "d_a")}
    if "dt_bias" in tensors:
        results["d_dt_bias"] = Tensor("F32", a.shape)
    for b, h, j in itertools.product(*map(range, importances.shape)):
        dx = d_importance[b, h, j] * (1 if metadata.get("activation") == "softplus" else importances[b, h, j])
        dz = dx * a.data[h] / (1 + math.exp(-zs[b, h, j]))
        results["d_a"].data[h] += dx * softplus(zs[b, h, j])
        if "d_dt_bias" in results:
            results["d_dt_bias"].data[h] += dz
        for i, x in enumerate(tokens_row(v, b, j)):
            results["d_dt_weight"][h, i] += dz * x
            dv[b, j, i // v.shape[3], i % v.shape[3]] += dz * weight[h, i]
    return results


def merge(tensors):
    """The result of attention to two sets of keys, from the results for each: {name: Tensor}."""
    sides = [(tensors["out_" + side], tensors["lse_" + side]) for side in "ab"]
    batch, queries, heads, dim = sides[0][0].shape
    out, lse = Tensor("F32", (batch, queries, heads, dim)), Tensor("F32", (batch, heads, queries))
    for b, t, h in itertools.product(range(batch), range(queries), range(heads)):
        seen = [(of[b, h, t], rows, of) for rows, of in sides if of[b, h, t] != -math.inf]
        most = max((x for x, _, _ in seen), default=-math.inf)
        total = sum(math.exp(x - most) for x, _, _ in seen)
        lse[b, h, t] = most + math.log(total) if seen else -math.inf
        for i in range(dim):
            out[b, t, h, i] = sum(math.exp(x - most) * rows[b, t, h, i] for x, rows, _ in seen) / total if seen else 0
    return {"out": out, "lse": lse}


def solve(tensors, metadata):
    """Returns the results of a case: {name: Tensor}. Raises ValueError if rounding would decide what is selected."""
    if metadata["op"] == "merge":
        return merge(tensors)
    tensors = with_numbers(tensors, metadata)
    results, bias = {}, tensors.get("bias")
    if metadata["op"] == "dma":
        bias, zs = importance(tensors, metadata)
        if is_ambiguous(bias, tensors["v"]) and metadata["selection"] != "none":
            raise ValueError("two keys have nearly the same importance")
        begin, end = intervals(tensors, bias, tensors["q"].shape[1], metadata)
        results.update(importance=bias, begin=begin, end=end)
    attention = Attention({**tensors, **results}, metadata, bias)
    results["out"], results["lse"] = attention.forward()
    if "dout" in tensors:
        results["dq"], results["dk"], results["dv"], d_bias, d_sink = attention.backward(tensors["dout"])
        if d_sink:
            results["d_sink"] = d_sink
        if metadata["op"] == "dma":
            results.update(importance_backward(tensors, metadata, bias, zs, d_bias, results["dv"]))
        elif d_bias:
            results["d_bias"] = d_bias
    return results


# ---- random cases ----------------------------------------------------------------------------------------------------


def random_inputs(rng, o):
    """The input tensors for the options of the command line."""
    dtype, kv_heads, keys = o.type.upper(), o.kv_heads, o.keys
    if o.op == "merge":
        rows, lse = (o.batch, o.queries, o.heads, o.value_dim), (o.batch, o.heads, o.queries)
        tensors = {}
        for side in "ab":  # a sixth of the queries sees no key of a side
            tensors["out_" + side] = normal(rng, dtype, rows)
            tensors["lse_" + side] = Tensor("F32", lse, [rounded("F32", rng.gauss(0, 3)) if rng.randrange(6) else -math.inf
                                                         for _ in range(math.prod(lse))])
        return tensors
    tensors = {"q": normal(rng, "F32" if o.q_f32 else dtype, (o.batch, o.queries, o.heads, o.head_dim)),
               "k": normal(rng, dtype, (o.batch, keys, kv_heads, o.head_dim)),
               "v": normal(rng, dtype, (o.batch, keys, kv_heads, o.value_dim))}
    if o.tokens:
        row, v = kv_heads * o.value_dim, tensors["v"].data
        for start in range(o.tokens * row, len(v), row):
            same = rng.randrange(o.tokens) * row
            v[start:start + row] = v[same:same + row]
    if o.op == "dma":
        tensors["dt_weight"] = normal(rng, "F32", (kv_heads, kv_heads * o.value_dim), (kv_heads * o.value_dim) ** -0.5)
        tensors["a"] = normal(rng, "F32", (kv_heads,), 0.5)
        if o.dt_bias:
            tensors["dt_bias"] = normal(rng, "F32", (kv_heads,))
        if o.padding:
            tensors["key_valid"] = Tensor("U8", (o.batch, keys), [rng.random() < 0.8 for _ in range(o.batch * keys)])
    elif o.mask == "dense":
        shape = (o.batch, kv_heads, o.queries, keys)
        tensors["mask"] = Tensor("U8", shape, [rng.random() < 0.5 for _ in range(math.prod(shape))])
    elif o.mask == "intervals":
        shape = (o.batch, kv_heads, keys)
        pairs = [sorted(rng.choices(range(o.queries + 1), k=2)) for _ in range(math.prod(shape))]
        tensors["begin"] = Tensor("I32", shape, [begin for begin, _ in pairs])
        tensors["end"] = Tensor("I32", shape, [end for _, end in pairs])
    elif o.mask == "selected":
        numbers = (keys - 1) // (o.block or 1) + 1  # a fifth of the numbers is no key
        shape = (o.batch, kv_heads, o.queries, o.count)
        tensors["selected"] = Tensor("I32", shape, [rng.choice((rng.randrange(numbers),) * 4 + (-1 - rng.randrange(2),))
                                                    for _ in range(math.prod(shape))])
    elif o.mask == "additive":
        shape = (o.batch, kv_heads, o.queries, keys)
        tensors["bias"] = Tensor(dtype, shape, [rng.choice((-math.inf, 0, rounded(dtype, rng.gauss(0, 1))))
                                                for _ in range(math.prod(shape))])
    if o.slopes:
        tensors["slopes"] = normal(rng, "F32", (o.heads,))
    if o.bias and o.mask != "additive":
        rows = () if o.mask == "intervals" else (o.queries,)
        tensors["bias"] = normal(rng, dtype, (o.batch, kv_heads) + rows + (keys,))
    if o.sink:
        tensors["sink"] = normal(rng, "F32", (o.heads,))
    for name, form in zip("kv", o.kv_format):
        store(tensors, name, form)
    if o.dlse:
        tensors["dlse"] = normal(rng, "F32", (o.batch, o.heads, o.queries))
    if o.gradients:
        tensors["dout"] = normal(rng, dtype, (o.batch, o.queries, o.heads, o.value_dim))
    return tensors


def make_metadata(o):
    if o.op == "merge":
        return {"op": o.op}
    metadata = {"op": o.op, "causal": o.causal}
    if o.q_f32:
        metadata["out_f32"] = 1
    if o.kv_format:
        metadata.update(type=o.type, k_format=o.kv_format[0], v_format=o.kv_format[1])
    names = ["scale", "soft_cap"]
    if o.op == "dma":
        metadata.update(selection=o.selection, activation=o.activation)
        names += ["window", "tie_break", "threshold", "sinks", "recent", "sliding"]
    elif o.mask in ("intervals", "additive"):
        metadata[o.mask] = 1
    elif o.mask == "selected" and o.block:
        metadata["block"] = o.block
    metadata.update({name: getattr(o, name) for name in names if getattr(o, name) is not None})
    return metadata


def parse():
    parser = argparse.ArgumentParser(description="Writes a random case for dmattn-run, with its results.",
                                     epilog="docs/cases.md describes the file.")
    add = parser.add_argument
    add("file", metavar="FILE.safetensors")
    add("--op", choices=("dma", "attention", "merge"), default="dma",
        help="dynamic mask attention (default), attention, or merging two results")
    add("--type", choices=("f32", "f16", "bf16"), default="f32", help="of q, k, v, bias and dout (default: f32)")
    for name, default, what in (("batch", 1, "batch items"), ("queries", 20, "queries"), ("keys", None, "keys"),
                                ("heads", 2, "query heads"), ("kv-heads", 1, "key and value heads"),
                                ("head-dim", 8, "dimension of q and k"), ("value-dim", None, "dimension of v")):
        same = {"keys": "as queries", "value-dim": "as head-dim"}
        add("--" + name, type=int, default=default, metavar="N",
            help="%s (default: %s)" % (what, default or same[name]))
    add("--causal", type=int, choices=(0, 1), default=1, help="1 (default): a query sees no later key")
    add("--scale", type=float, help="of scores (default: 1 / sqrt(head-dim))")
    add("--soft-cap", type=float, help="limit of scores")
    add("--mask", choices=("dense", "intervals", "additive", "selected"), help="attention: a random mask")
    add("--count", type=int, metavar="N", help="selected: numbers in the list of a query (default: a quarter of the keys)")
    add("--block", type=int, metavar="N", help="selected: a number is that of a block of N keys (default: 1)")
    add("--bias", action="store_true", help="attention: a random bias")
    add("--slopes", action="store_true", help="attention: random slopes of ALiBi, or of the bias")
    add("--selection", choices=("topw_causal", "topw_shared", "threshold", "none"), default="topw_causal",
        help="dma: which keys are visible (default: topw_causal)")
    add("--activation", choices=("exp_softplus", "softplus"), default="exp_softplus", help="dma: of the importance")
    for name, what in (("window", "number of selected keys (default: a quarter of all)"),
                       ("sinks", "number of first keys that are always visible"),
                       ("recent", "number of latest keys that are always visible"),
                       ("sliding", "number of latest keys outside of which only sinks are visible")):
        add("--" + name, type=int, metavar="N", help="dma: " + what)
    add("--tie-break", choices=("later", "earlier"), help="dma: which of equally important keys stays (default: later)")
    add("--tokens", type=int, metavar="N", help="number of different rows of v, so that keys are equal (default: all)")
    add("--threshold", type=float, help="dma: least importance, with --selection threshold")
    add("--padding", action="store_true", help="dma: a fifth of the keys is not valid")
    add("--dt-bias", action="store_true", help="dma: a bias of the importance")
    add("--q-f32", action="store_true", help="q and out are f32, and the other tensors of --type")
    add("--kv-format", metavar="F[+F]", default="",
        help="k and v are int8, e4m3, q8_0 or q4_0, or k one and v another of them; dimensions of blocks: 32, 64, ...")
    add("--sink", action="store_true", help="a random sink for each query head, a score of no key")
    add("--gradients", action="store_true", help="a random dout, and the gradients")
    add("--dlse", action="store_true", help="a random gradient of lse, too; needs --gradients")
    add("--seed", type=int, default=1, help="of the random numbers (default: 1)")
    o = parser.parse_args()
    o.keys = o.keys or o.queries
    o.value_dim = o.value_dim or o.head_dim
    o.count = o.count or max(o.keys // 4 // (o.block or 1), 1)
    if o.window is None and o.selection.startswith("topw"):
        o.window = max(o.keys // 4, 1)
    o.kv_format = [form for form in o.kv_format.split("+") if form]
    if len(o.kv_format) > 2 or not set(o.kv_format) <= {"int8", "e4m3", "q8_0", "q4_0"}:
        parser.error("--kv-format takes int8, e4m3, q8_0 or q4_0, or two of them like q8_0+q4_0")
    o.kv_format = o.kv_format * 2 if len(o.kv_format) == 1 else o.kv_format
    if any(form[0] == "q" and dim % 32 for form, dim in zip(o.kv_format, (o.head_dim, o.value_dim))):
        parser.error("q8_0 and q4_0 need --head-dim and --value-dim that are multiples of 32")
    if o.kv_format and o.gradients:
        parser.error("--gradients needs k and v of --type, but there is --kv-format")
    if o.q_f32 and o.gradients:
        parser.error("--gradients needs one type, but there is --q-f32")
    if o.dlse and not o.gradients:
        parser.error("--dlse needs --gradients")
    if o.selection == "threshold" and o.threshold is None:
        parser.error("--selection threshold needs --threshold")
    return o


def main():
    o = parse()
    metadata = make_metadata(o)
    for attempt in range(1000):  # until no two keys have nearly the same importance
        tensors = random_inputs(random.Random(o.seed + 1000003 * attempt), o)
        try:
            results = solve(tensors, metadata)
        except ValueError as why:
            message = why
            continue
        write_case(o.file, {**tensors, **results}, metadata)
        return 0
    print("make_case.py: %s, with every seed that was tried" % message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
