# SPDX-License-Identifier: MIT
"""Dynamic mask attention in plain PyTorch, with every pair of query and key: its gradients are autograd's."""
import torch


def importance_of(v, dt_weight, a, dt_bias=None, activation="exp_softplus"):
    """[batch, kv_heads, keys], of v [batch, keys, kv_heads, dim]."""
    z = v.flatten(2) @ dt_weight.t()
    if dt_bias is not None:
        z = z + dt_bias
    softplus = a * torch.nn.functional.softplus(z)
    return (softplus.exp() if activation == "exp_softplus" else softplus).transpose(1, 2)


def visible_of(importance, queries, window, causal=True, key_valid=None, query_offsets=None, key_offsets=None):
    """bool [batch, kv_heads, queries, keys]: whether a key is among the `window` most important ones of the query's prefix, of
    equals the later one, in its document, padding left out. Straight from the definition."""
    batch, heads, keys = importance.shape
    visible = torch.zeros(batch, heads, queries, keys, dtype=torch.bool)
    values = importance.detach().double().tolist()
    valid = None if key_valid is None else key_valid.tolist()
    for b in range(batch):
        documents = [(0, queries, 0, keys)]
        if query_offsets is not None:
            q, k = query_offsets[b].tolist(), key_offsets[b].tolist()
            documents = list(zip(q, q[1:], k, k[1:]))
        for first_query, last_query, first_key, last_key in documents:
            for t in range(first_query, last_query):
                end = min(last_key, t - last_query + last_key + 1) if causal else last_key
                there = [j for j in range(first_key, end) if valid is None or valid[b][j]]
                for h in range(heads):
                    row = values[b][h]
                    visible[b, h, t, sorted(there, key=lambda j: (-row[j], -j))[:window]] = True
    return visible.to(importance.device)


def nearest(importance):
    """How near the two most equal keys of a head are to each other, relative to what they are."""
    order = importance.detach().double().sort(dim=-1).values
    return ((order[..., 1:] - order[..., :-1]) / order[..., 1:].abs()).min().item()


def attend(q, k, v, visible, bias=None, scale=0.0, soft_cap=0.0, round_to=None):
    """out of q [batch, queries, heads, dim]. `round_to`: the type that probabilities are rounded to, as in a kernel for it."""
    group = q.shape[2] // k.shape[2]
    k, v = (t.repeat_interleave(group, dim=2) for t in (k, v))
    scores = torch.einsum("bthd,bjhd->bhtj", q, k) * (scale or q.shape[3] ** -0.5)
    if soft_cap:
        scores = soft_cap * torch.tanh(scores / soft_cap)
    if bias is not None:
        scores = scores + bias.repeat_interleave(group, dim=1).unsqueeze(2)
    visible = visible.repeat_interleave(group, dim=1)
    scores = scores.masked_fill(~visible, -1e30)  # finite, so that rows that see nothing are no NaN
    p = torch.softmax(scores, dim=-1) * visible
    if round_to is not None:
        p = p.to(round_to).to(scores.dtype)
    return torch.einsum("bhtj,bjhd->bthd", p, v)
