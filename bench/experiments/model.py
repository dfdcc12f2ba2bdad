# SPDX-License-Identifier: MIT
"""A small language model with three kinds of attention, by dmattn's kernels or by plain PyTorch.

    dense     each query sees all keys up to its own
    sliding   each query sees the last w keys
    dynamic   each query sees the w most important keys of its prefix; the importance is computed from v, as in Doge

Everything else is the same: two blocks of a short causal convolution, attention with one head, and a layer of gated
units. The convolution tells a token what came before it, so there is no position embedding, and a model can be
evaluated at lengths that it has not been trained for.

Several models, which differ in their seeds, are trained side by side: all parameters have the seed as their first
dimension, and for the attention each seed is a head of its own. So a step takes as many launches and hand-overs as for
one seed. `x` is [seeds, tokens, width]."""
import pathlib
import sys

import torch
import torch.nn.functional as F
from torch import nn

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "tools/python"))  # dmattn, on CUDA

KINDS = ("dense", "sliding", "dynamic")
TAPS = 3  # of the convolution
FIRST_A = -1.0  # the importance exp(a softplus(z)) is then between 0 and 1, and bounded as a bias


# ---- attention: q, k, v are [batch, sequence, heads, dim] ------------------------------------------------------------

def visible_keys(kind, window, importance):
    """Whether a query sees a key, bool [batch, heads, queries, keys], by counting; importance is [batch, heads, keys].
    Of equally important keys the later one stays."""
    place = torch.arange(importance.shape[-1], device=importance.device)
    causal = place[None, :] <= place[:, None]
    if kind == "dense":
        return causal
    if kind == "sliding":
        return causal & (place[None, :] > place[:, None] - window)
    other, key = importance[..., :, None], importance[..., None, :]
    outranks = (other > key) | ((other == key) & (place[:, None] > place[None, :]))
    return causal & (outranks.int().cumsum(-2) <= window - 1)


def importance_of(v, dt_weight, a):
    return torch.exp(a * F.softplus(v.flatten(2) @ dt_weight.t())).transpose(1, 2)


def attend_torch(kind, window, q, k, v, dt_weight, a):
    """The definition, with a number for each pair of a query and a key."""
    dtype = q.dtype
    q, k, v = q.float(), k.float(), v.float()
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
    importance = v.new_zeros(v.shape[0], v.shape[2], v.shape[1])
    if kind == "dynamic":
        importance = importance_of(v, dt_weight, a)
        scores = scores + importance[..., None, :]
    visible = visible_keys(kind, window, importance.detach())
    weights = scores.masked_fill(~visible, float("-inf")).softmax(-1)
    return torch.einsum("bhqk,bkhd->bqhd", weights, v).to(dtype)


def attend_dmattn(kind, window, q, k, v, dt_weight, a):
    import dmattn
    if kind == "dense":
        return dmattn.attention(q, k, v, causal=True)
    if kind == "sliding":
        importance = torch.zeros(v.shape[0], v.shape[2], v.shape[1], device=v.device)
        return dmattn.dma_attention(q, k, v, importance=importance, select="all", sliding=window)
    return dmattn.dma_attention(q, k, v, dt_weight=dt_weight, a=a, window=window)


# ---- the model -------------------------------------------------------------------------------------------------------

class Norm(nn.Module):
    def __init__(self, seeds, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(seeds, 1, width))

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6))


class Linear(nn.Module):
    def __init__(self, seeds, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(seeds, inputs, outputs))

    def forward(self, x):
        return x @ self.weight


class Attention(nn.Module):
    def __init__(self, seeds, width, kind, attend, dtype):
        super().__init__()
        self.kind, self.attend, self.dtype = kind, attend, dtype
        self.window = None  # set before each use of the model
        self.taps = nn.Parameter(torch.empty(seeds, TAPS, width))
        self.qkv, self.out = Linear(seeds, width, 3 * width), Linear(seeds, width, width)
        self.q_norm, self.k_norm = Norm(seeds, width), Norm(seeds, width)
        if kind == "dynamic":
            self.dt_weight = nn.Parameter(torch.empty(seeds, width, 1))
            self.a = nn.Parameter(torch.full((seeds, 1), FIRST_A))

    def begin(self):
        """Equal taps, the same weights for queries and keys, the transposed ones of values for the output: from the
        start, similar contexts attend to each other, and what they see is copied. This shortens the training."""
        width = self.taps.shape[2]
        self.taps.data.fill_(TAPS ** -0.5)
        self.qkv.weight.data[..., width:2 * width] = self.qkv.weight.data[..., :width]
        self.out.weight.data = self.qkv.weight.data[..., 2 * width:].transpose(1, 2).clone()

    def forward(self, x, length):
        seeds, _, width = x.shape
        sequences = x.view(seeds, -1, length, width)
        mixed = sum(self.taps[:, i, None, None] * F.pad(sequences, (0, 0, i, 0))[:, :, :length] for i in range(TAPS))
        q, k, v = self.qkv(mixed.flatten(1, 2)).split(width, dim=2)
        q, k, v = (t.view(seeds, -1, length, width).permute(1, 2, 0, 3).to(self.dtype)
                   for t in (self.q_norm(q), self.k_norm(k), v))
        dt_weight = a = None
        if self.kind == "dynamic":  # a seed's importance is computed from its own v
            dt_weight, a = torch.block_diag(*self.dt_weight.transpose(1, 2)), self.a.flatten()
        out = self.attend(self.kind, self.window, q, k, v, dt_weight, a)
        return self.out(out.permute(2, 0, 1, 3).to(x.dtype).flatten(1, 2))


class Gated(nn.Module):
    def __init__(self, seeds, width):
        super().__init__()
        self.up, self.down = Linear(seeds, width, 4 * width), Linear(seeds, 2 * width, width)

    def forward(self, x):
        gate, value = self.up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * value)


class Block(nn.Module):
    def __init__(self, seeds, width, kind, attend, dtype):
        super().__init__()
        self.attention, self.gated = Attention(seeds, width, kind, attend, dtype), Gated(seeds, width)
        self.attention_norm, self.gated_norm = Norm(seeds, width), Norm(seeds, width)

    def forward(self, x, length):
        x = x + self.attention(self.attention_norm(x), length)
        return x + self.gated(self.gated_norm(x))


class Model(nn.Module):
    """Models for the seeds 1, 2, ..."""

    def __init__(self, seeds, vocabulary, width, kind, attend=attend_torch, dtype=torch.float32):
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(seeds, vocabulary, width))  # also of the output
        self.blocks = nn.ModuleList(Block(seeds, width, kind, attend, dtype) for _ in range(2))
        self.norm = Norm(seeds, width)
        for seed in range(seeds):
            generator = torch.Generator().manual_seed(1 + seed)
            for name, parameter in self.named_parameters():
                if "norm" not in name and not name.endswith(".a"):
                    scale = width if name == "embedding" else parameter.shape[1]
                    parameter.data[seed] = torch.randn(parameter.shape[1:], generator=generator) * scale ** -0.5
        for block in self.blocks:
            block.attention.begin()

    def forward(self, tokens, places, window):
        """Logits [seeds, batch * places, vocabulary] at the places [seeds, batch, places] of tokens [seeds, batch,
        sequence]."""
        seeds, batch, length = tokens.shape
        first = torch.arange(seeds, device=tokens.device)[:, None, None] * self.embedding.shape[1]
        x = F.embedding((tokens + first).flatten(1), self.embedding.flatten(0, 1))
        for block in self.blocks:
            block.attention.window = window
            x = block(x, length)
        rows = (places + torch.arange(batch, device=tokens.device)[:, None] * length).flatten(1)
        x = x.gather(1, rows[..., None].expand(-1, -1, x.shape[2]))
        return self.norm(x) @ self.embedding.transpose(1, 2)
