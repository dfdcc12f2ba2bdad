# SPDX-License-Identifier: MIT
"""Dynamic mask attention in plain PyTorch over all pairs of query and key; autograd computes the gradients."""
import torch


def importance_of(v, dt_weight, a, dt_bias=None, activation="exp_softplus"):
    """Returns [batch, kv_heads, keys], from v [batch, keys, kv_heads, dim]."""
    z = v.flatten(2) @ dt_weight.t()
    if dt_bias is not None:
        z = z + dt_bias
    softplus = a * torch.nn.functional.softplus(z)
    return (softplus.exp() if activation == "exp_softplus" else softplus).transpose(1, 2)


def visible_of(importance, queries, window, causal=True, key_valid=None, query_offsets=None, key_offsets=None,
               tie_break="later"):
    """Returns bool [batch, kv_heads, queries, keys]: whether a key is among the `window` most important keys of the
    query's prefix, in the query's document and without padding. If keys are equally important, the later or the earlier
    one wins. Computed directly from the definition."""
    later = -1 if tie_break == "later" else 1
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
                    visible[b, h, t, sorted(there, key=lambda j: (-row[j], later * j))[:window]] = True
    return visible.to(importance.device)


def nearest(importance):
    """The smallest relative difference in importance between two keys of a head."""
    order = importance.detach().double().sort(dim=-1).values
    return ((order[..., 1:] - order[..., :-1]) / order[..., 1:].abs()).min().item()


class _RoundedGradient(torch.autograd.Function):
    """Returns the tensor unchanged, but rounds its gradient to a type."""

    @staticmethod
    def forward(ctx, x, dtype):
        ctx.dtype = dtype
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient.to(ctx.dtype).to(gradient.dtype), None


class _RoundedAttention(torch.autograd.Function):
    """softmax(scores) v, as kernels for a type compute it. P is rounded before it is multiplied by v or dout. D, the
    sum of dout * out, uses the stored out. dS = P (dP - D), which is the gradient of a bias, is not rounded."""

    @staticmethod
    def forward(ctx, scores, v, visible, dtype, stored_out):
        p = torch.softmax(scores, dim=-1) * visible
        rounded = p.to(dtype).to(p.dtype)
        out = rounded @ v
        stored_out = out.to(dtype) if stored_out is None else stored_out
        ctx.save_for_backward(p, rounded, v, stored_out.to(p.dtype))
        return out

    @staticmethod
    def backward(ctx, dout):
        p, rounded, v, stored_out = ctx.saved_tensors
        d = (dout * stored_out).sum(dim=-1, keepdim=True)
        return p * (dout @ v.transpose(2, 3) - d), rounded.transpose(2, 3) @ dout, None, None, None


def attend(q, k, v, visible, bias=None, scale=0.0, soft_cap=0.0, round_to=None, stored_out=None):
    """Returns out for q [batch, queries, heads, dim]. `round_to`: also does the roundings of a kernel for this type,
    forward and backward. `stored_out`: the out that the backward pass uses, instead of its own."""
    group = q.shape[2] // k.shape[2]
    if round_to is not None:
        v = _RoundedGradient.apply(v, round_to)  # stored before the importance's part is added
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    k, v = (t.repeat_interleave(group, dim=1) for t in (k, v))
    scores = q @ k.transpose(2, 3) * (scale or q.shape[3] ** -0.5)
    if round_to is not None:
        scores = _RoundedGradient.apply(scores, round_to)  # dS before it is multiplied by k and q
    if soft_cap:
        scores = soft_cap * torch.tanh(scores / soft_cap)
    if bias is not None:
        scores = scores + bias.repeat_interleave(group, dim=1).unsqueeze(2)
    visible = visible.repeat_interleave(group, dim=1)
    scores = scores.masked_fill(~visible, -1e30)  # finite, so that rows that see no key are not NaN
    if round_to is None:
        return (torch.softmax(scores, dim=-1) * visible @ v).transpose(1, 2)
    if stored_out is not None:
        stored_out = stored_out.transpose(1, 2)
    return _RoundedAttention.apply(scores, v, visible, round_to, stored_out).transpose(1, 2)
