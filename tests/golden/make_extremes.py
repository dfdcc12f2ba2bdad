#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the extreme_ cases: numbers at the ends of f32 and beyond. All results are computed from their definitions in
decimal numbers of 80 digits. A gradient is the difference of the results at two values of an input, so there are no
formulas of gradients.

    make_extremes.py FOLDER
"""
import json
import random
import struct
import sys
from decimal import Context, Decimal, setcontext

setcontext(Context(prec=80, traps=[]))
NAN, INF = Decimal("nan"), Decimal("inf")
FLT_MAX = Decimal((1 << 24) - 1) * (1 << 104)
BEYOND = FLT_MAX + (1 << 103)  # numbers from here on are an infinity in f32
STEP = Decimal("1e-30")  # of the differences
HEADS, DIM = 2, 16  # one kv head
CODES = {"F32": "f", "F16": "e", "I32": "i"}


def rounded(values, code):
    """The values as the file stores them."""
    return [Decimal(x) for x in struct.unpack(f"<{len(values)}{code}", struct.pack(f"<{len(values)}{code}", *values))]


def f32(x):
    """An infinity if x is beyond f32; otherwise x."""
    return x if x.is_nan() or abs(x) < BEYOND else INF.copy_sign(x)


class Case:
    """An attention of `queries` and `keys` with random inputs, which the caller may replace before the results are
    computed."""

    def __init__(self, kind, queries, keys, seed, **meta):
        self.code, self.kind, self.queries, self.keys, self.meta = CODES[kind], kind, queries, keys, meta
        self.rng = random.Random(seed)
        self.shape = {"q": [1, queries, HEADS, DIM], "k": [1, keys, 1, DIM], "v": [1, keys, 1, DIM]}
        self.type, self.data = {}, {}
        for name in ("q", "k", "v"):
            self.put(name, self.shape[name], kind, self.normal(self.shape[name]))

    def normal(self, shape):
        count = 1
        for extent in shape:
            count *= extent
        return [self.rng.gauss(0, 1) for _ in range(count)]

    def put(self, name, shape, kind, values):
        self.shape[name], self.type[name], self.data[name] = shape, kind, list(values)

    def freeze(self):
        """Rounds the inputs."""
        self.x = {name: rounded(values, CODES[self.type[name]]) for name, values in self.data.items()}
        self.scale, self.cap = Decimal(DIM) ** Decimal("-0.5"), Decimal(self.meta.get("soft_cap", 0))

    # ---- forward -------------------------------------------------------------------------------------------------

    def importance(self, x, key):
        z = sum(w * v for w, v in zip(x["dt_weight"], x["v"][key * DIM:]))
        return min((x["a"][0] * (1 + z.exp()).ln()).exp(), FLT_MAX)

    def bias(self, x, head, query, key):
        if self.meta["op"] == "dma":
            return self.importance(x, key)
        if "bias" not in x:
            return Decimal(0)
        _, heads, queries, keys = self.shape["bias"]
        b = x["bias"][((head % heads) * queries + query % queries) * keys + key]
        return -INF if b.is_nan() else min(b, FLT_MAX)

    def score(self, x, head, query, key):
        q, k = x["q"][(query * HEADS + head) * DIM:], x["k"][key * DIM:]
        s = f32(self.scale * f32(sum(q[i] * k[i] for i in range(DIM))))
        if self.cap:
            e = (-2 * abs(s) / self.cap).exp()
            s = (self.cap * (1 - e) / (1 + e)).copy_sign(s)
        b = self.bias(x, head, query, key)
        return b if abs(b) > 10**30 else f32(s + b)  # in f32, nothing is left of s beside so large a bias

    def row(self, x, head, query):
        """out and lse of a query."""
        seen = [j for j in range(self.keys) if self.visible[query][j]]
        scores = {j: self.score(x, head, query, j) for j in seen}
        if all(s == -INF for s in scores.values()):
            return [Decimal(0)] * DIM, -INF
        if any(s.is_nan() or s == INF for s in scores.values()):
            return [NAN] * DIM, NAN
        most = max(scores.values())
        p = {j: (s - most).exp() for j, s in scores.items()}
        total = sum(p.values())
        return [sum(p[j] * x["v"][j * DIM + i] for j in seen) / total for i in range(DIM)], most + total.ln()

    def select(self):
        """Which keys each query sees."""
        offset = self.keys - self.queries
        causal = self.meta.get("causal") == "1"
        self.visible = [[not causal or j <= t + offset for j in range(self.keys)] for t in range(self.queries)]
        if self.meta["op"] != "dma":
            return
        rank = [self.importance(self.x, j) for j in range(self.keys)]
        for row in self.visible:
            prefix = [j for j in range(self.keys) if row[j]]
            kept = sorted(prefix, key=lambda j: (rank[j], j))[-int(self.meta["window"]):]
            row[:] = [j in kept for j in range(self.keys)]
        seen = [[t for t in range(self.queries) if self.visible[t][j]] for j in range(self.keys)]
        assert all(ts == list(range(ts[0], ts[-1] + 1)) for ts in seen if ts)
        self.put("importance", [1, 1, self.keys], "F32", rank)
        self.put("begin", [1, 1, self.keys], "I32", [ts[0] if ts else 0 for ts in seen])
        self.put("end", [1, 1, self.keys], "I32", [ts[-1] + 1 if ts else 0 for ts in seen])

    # ---- gradients -----------------------------------------------------------------------------------------------

    def product(self, x, head, query):
        """The part of sum(out * dout) that belongs to a query."""
        out, _ = self.row(x, head, query)
        return sum(o * d for o, d in zip(out, x["dout"][(query * HEADS + head) * DIM:]))

    def uses(self, name, i, head, query):
        """Whether the out of a query depends on an element of an input."""
        if name == "q":
            return i // DIM == query * HEADS + head
        if name in ("k", "v"):
            # The importance of a key changes with all of its v.
            return self.visible[query][i // DIM]
        if name == "bias":
            _, heads, queries, keys = self.shape["bias"]
            return self.visible[query][i % keys] and i // keys == head % heads * queries + query % queries
        return True

    def gradient(self, name, i):
        total = Decimal(0)
        for head in range(HEADS):
            for query in range(self.queries):
                if self.uses(name, i, head, query):
                    at = []
                    for step in (STEP, -STEP):
                        x = dict(self.x)
                        x[name] = list(x[name])
                        x[name][i] += step
                        at.append(self.product(x, head, query))
                    total += (at[0] - at[1]) / (2 * STEP)
        return total

    # ---- files ---------------------------------------------------------------------------------------------------

    def save(self, path):
        self.freeze()
        self.select()
        names = [n for n in ("q", "k", "v", "bias", "dt_weight", "a") if n in self.x]
        rows = [[self.row(self.x, h, t) for t in range(self.queries)] for h in range(HEADS)]
        out = [o for t in range(self.queries) for h in range(HEADS) for o in rows[h][t][0]]
        self.put("out", self.shape["q"], "F32", out)
        self.put("lse", [1, HEADS, self.queries], "F32", [r[1] for head in rows for r in head])
        for name in names if "dout" in self.x else []:
            values = [self.gradient(name, i) for i in range(len(self.x[name]))]
            self.put(("d" if len(name) == 1 and name != "a" else "d_") + name, self.shape[name], "F32", values)
        header, body = {"__metadata__": self.meta}, b""
        for name, values in self.data.items():
            code = CODES[self.type[name]]
            data = struct.pack(f"<{len(values)}{code}", *(int(v) if code == "i" else float(v) for v in values))
            header[name] = {"dtype": self.type[name], "shape": self.shape[name],
                            "data_offsets": [len(body), len(body) + len(data)]}
            body += data
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + body)


def with_dout(case):
    case.put("dout", case.shape["q"], case.kind, case.normal(case.shape["q"]))
    return case


def biases():
    """Biases of +infinity, which count as FLT_MAX, of -infinity and of NaN."""
    case = with_dout(Case("F16", 6, 6, 1, op="attention", causal="1"))
    inf, nan = float("inf"), float("nan")
    case.put("bias", [1, 2, 1, 6], "F32", [0.5, -inf, -1, inf, 0.25, nan, nan, 2, -0.5, 0.75, -inf, inf])
    return case


def lowest():
    """The lowest finite number as a mask, and biases near it."""
    case = Case("F16", 6, 6, 2, op="attention")
    low = -float(FLT_MAX)
    rows = [[low] * 6 for _ in range(6)]
    rows[0][:3] = [0, 0.5, -1]
    rows[2][4] = -1e38
    rows[3] = [-2.5e38] * 6
    rows[4] = [-1e38] * 2 + [-9e37] + [-1e38] * 3
    rows[5] = [6e37, 3e38] + [6e37] * 4
    case.put("bias", [1, 1, 6, 6], "F32", [b for row in rows for b in row])
    return case


def ranked(kind):
    """The importance of key 2 is 1 + e^90, beyond f32, and counts as FLT_MAX."""
    case = Case(kind, 6, 6, 3, op="dma", causal="1", selection="topw_causal", window="3")
    for key, z in enumerate((1, 2, 90, 3, 0.5, -1)):
        case.data["v"][key * DIM] = z / 32
    case.put("dt_weight", [1, DIM], "F32", [32] + [0] * (DIM - 1))
    case.put("a", [1], "F32", [1])
    return case


def scores():
    """Products of q and k of 1e40 and -1e40. Key 0 hides itself from query 0 of head 0, and key 1 from query 2. Query 3
    of head 1 has a score of +infinity, so its results are NaN, and so are the gradients of the keys up to 3."""
    case = with_dout(Case("F32", 6, 6, 4, op="attention", causal="1"))
    q, k = case.data["q"], case.data["k"]
    for x in (q, k):
        for row in range(0, len(x), DIM):
            x[row + DIM - 2:row + DIM] = [0, 0]
    k[DIM - 1] = k[2 * DIM - 2] = 1e20
    q[DIM - 1] = q[(2 * HEADS) * DIM + DIM - 2] = q[(2 * HEADS + 1) * DIM + DIM - 2] = -1e20
    q[(3 * HEADS + 1) * DIM + DIM - 2] = 1e20
    return case


def capped():
    """Scores of five to six times the soft cap: 1 - tanh^2, formed from tanh, has few right digits there."""
    case = with_dout(Case("F32", 6, 6, 5, op="attention", soft_cap="2"))
    case.data["q"] = [1.75 + 0.25 * x for x in case.data["q"]]
    case.data["k"] = [1.6 + 0.5 * x for x in case.data["k"]]
    return case


if len(sys.argv) != 2:
    sys.exit(__doc__)
made = {"biases_f16": biases(), "lowest_f16": lowest(), "dma_f16": ranked("F16"),
        "dma_f32": with_dout(ranked("F32")), "scores_f32": scores(), "capped_f32": capped()}
for name, case in made.items():
    case.save(f"{sys.argv[1]}/extreme_{name}.safetensors")
