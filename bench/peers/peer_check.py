# SPDX-License-Identifier: MIT
"""Checks a peer's results against the formulas in double, on sampled rows, as vkbench does."""
import torch

TOLERANCE = {"f32": 2e-5, "f16": 4e-3, "bf16": 3e-2}  # vkbench's
ROWS = 16


def scores(mask, q, k, head, query, key):
    """Scores of the query heads of one kv head, -inf for hidden pairs: [heads of the group, queries, keys]."""
    s = q @ k.T / q.shape[-1] ** 0.5
    if mask.bias is not None:
        s = s + mask.bias[head][key].to(s.dtype)
    return s.masked_fill(~mask.visible(head, query[:, None], key), float("-inf"))


def worst_row(got, want, terms=None):
    """The largest error of a row, relative to its norm, or to the norm of `terms`, the sums of absolute terms."""
    scale = (want if terms is None else terms).norm(dim=-1)
    error = (got.to(want.dtype) - want).norm(dim=-1)
    error = torch.where(error > 0, error / scale, error)
    return error.max().item() if error.isfinite().all() else float("inf")


def sampled(count, device, seed):
    generator = torch.Generator().manual_seed(seed)
    some = torch.randint(count, (ROWS,), generator=generator)
    some[0], some[-1] = 0, count - 1
    return some.unique().to(device)


class Plane:
    """A random kv head of a random batch item, with its query heads."""

    def __init__(self, mask, tensors, seed=1):
        case = mask.case
        generator = torch.Generator().manual_seed(seed)
        self.mask, self.group = mask, case["heads"] // case["kv_heads"]
        self.item = torch.randint(case["batch"], (), generator=generator).item()
        self.head = torch.randint(case["kv_heads"], (), generator=generator).item()
        self.heads = slice(self.head * self.group, (self.head + 1) * self.group)
        self.q = tensors["q"][self.item, self.heads].detach()
        self.k, self.v = (tensors[name][self.item, self.head].detach() for name in "kv")
        self.key = torch.arange(case["keys"], device=self.q.device)

    def rows(self, query):
        """The probabilities of the queries, in double."""
        s = scores(self.mask, self.q[:, query].double(), self.k.double(), self.head, query, self.key)
        return s.softmax(-1).nan_to_num(0)

    def of_queries(self, tensor):
        return tensor[self.item, self.heads]


def check_forward(mask, tensors, out):
    """The error of out on sampled rows, and the number of rows."""
    plane = Plane(mask, tensors)
    query = sampled(mask.queries, out.device, 2)
    want = plane.rows(query) @ plane.v.double()
    return worst_row(plane.of_queries(out)[:, query], want), want.shape[0] * want.shape[1]


def check_gradients(mask, tensors, out, dout, grads):
    """The errors of dq on sampled rows and of dk and dv of sampled keys, and the number of keys."""
    plane = Plane(mask, tensors)
    scale = plane.q.shape[-1] ** -0.5
    query, key = sampled(mask.queries, out.device, 3), sampled(mask.keys, out.device, 4)
    out, dout = plane.of_queries(out).detach(), plane.of_queries(dout)
    delta = (out.double() * dout.double()).sum(-1, keepdim=True)

    p, dp = plane.rows(query), dout[:, query].double() @ plane.v.double().T
    ds, terms = p * (dp - delta[:, query]), p * (dp.abs() + delta[:, query].abs())
    dq = worst_row(plane.of_queries(grads[0])[:, query], ds @ plane.k.double() * scale,
                   terms @ plane.k.double().abs() * scale)

    k, v = plane.k.float(), plane.v.float()
    sums = torch.zeros(3, len(key), max(k.shape[1], v.shape[1]), device=k.device, dtype=torch.float64)
    for rows in torch.arange(mask.queries, device=k.device).split(1024):
        q, g = plane.q[:, rows].float(), dout[:, rows].float()
        p = scores(mask, q, k, plane.head, rows, plane.key).softmax(-1).nan_to_num(0)[..., key]
        dp, d = g @ v[key].T, delta[:, rows].float()
        sums[0, :, :v.shape[1]] += torch.einsum("hqk,hqd->kd", p, g)
        sums[1, :, :k.shape[1]] += torch.einsum("hqk,hqd->kd", p * (dp - d), q) * scale
        sums[2, :, :k.shape[1]] += torch.einsum("hqk,hqd->kd", p * (dp.abs() + d.abs()), q.abs()) * scale
    dk = worst_row(grads[1][plane.item, plane.head][key], sums[1, :, :k.shape[1]], sums[2, :, :k.shape[1]])
    dv = worst_row(grads[2][plane.item, plane.head][key], sums[0, :, :v.shape[1]])
    return {"dq": dq, "dk": dk, "dv": dv}, len(key)
