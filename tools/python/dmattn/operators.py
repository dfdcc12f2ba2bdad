# SPDX-License-Identifier: MIT
"""The operators of dmattn on CUDA tensors of PyTorch, with their gradients."""
import torch
from torch.autograd.function import once_differentiable

from . import native
from .device import device_at, device_of

TYPES = {torch.float32: native.TYPE_F32, torch.float16: native.TYPE_F16, torch.bfloat16: native.TYPE_BF16}
SELECT = {"all": native.SELECT_ALL, "topw": native.SELECT_TOPW_CAUSAL, "topw_shared": native.SELECT_TOPW_SHARED,
          "threshold": native.SELECT_THRESHOLD}
TIE_BREAKS = {"later": native.TIE_BREAK_LATER, "earlier": native.TIE_BREAK_EARLIER}
ACTIVATIONS = {"exp_softplus": native.ACTIVATION_EXP_SOFTPLUS, "softplus": native.ACTIVATION_SOFTPLUS}
GRADIENTS = {"q": native.GRADIENT_Q, "k": native.GRADIENT_K, "v": native.GRADIENT_V,
             "importance": native.GRADIENT_IMPORTANCE, "dt_weight": native.GRADIENT_DT_WEIGHT, "a": native.GRADIENT_A,
             "dt_bias": native.GRADIENT_DT_BIAS}


def empty(shape, dtype=torch.float32, device=None):
    """A contiguous tensor in memory that dmattn uses in place; its contents are undefined."""
    return device_at(_ordinal(device)).empty(tuple(shape), dtype)


def empty_cache(device=None):
    """Frees shared memory that no tensor uses."""
    device_at(_ordinal(device)).drop_unused()


def _ordinal(device):
    index = torch.device("cuda" if device is None else device).index
    return torch.cuda.current_device() if index is None else index


# ---- descriptors -----------------------------------------------------------------------------------------------------

def _strides(tensor):
    return native.Strides() if tensor.is_contiguous() else native.Strides(*tensor.stride()[:3])


def _type(tensor, name):
    if tensor.dtype not in TYPES:
        raise TypeError("%s has type %s, but must have float32, float16 or bfloat16" % (name, tensor.dtype))
    return TYPES[tensor.dtype]


def _describe(q, k, v, **options):
    """Makes the descriptor, without strides, which are set once the tensors are in shared memory. libdmattn checks the values."""
    for name, tensor in (("q", q), ("k", k), ("v", v)):
        if tensor.dim() != 4:
            raise ValueError("%s has %d dimensions, but must be [batch, sequence, heads, dim]" % (name, tensor.dim()))
        if tensor.dtype != q.dtype or tensor.device != q.device:
            raise ValueError("%s is %s on %s, but q is %s on %s"
                             % (name, tensor.dtype, tensor.device, q.dtype, q.device))
        if not tensor.numel():
            raise ValueError("%s %s has no elements" % (name, tuple(tensor.shape)))
    if k.shape[:3] != v.shape[:3] or k.shape[0] != q.shape[0] or k.shape[3] != q.shape[3]:
        raise ValueError("the shapes of q %s, k %s and v %s do not fit" % (tuple(q.shape), tuple(k.shape), tuple(v.shape)))
    return native.AttentionDesc(type=_type(q, "q"), batch=q.shape[0], queries=q.shape[1], keys=k.shape[1],
                                heads=q.shape[2], kv_heads=k.shape[2], head_dim=q.shape[3], value_dim=v.shape[3],
                                **options)


def _expect(name, tensor, shape, like, dtype):
    """Checks a tensor whose shape and type libdmattn cannot check."""
    if tuple(tensor.shape) != tuple(shape) or tensor.dtype != dtype or tensor.device != like.device:
        raise ValueError("%s is %s of %s on %s, but must be %s of %s on %s"
                         % (name, tuple(tensor.shape), tensor.dtype, tensor.device, tuple(shape), dtype, like.device))


def _choice(name, value, choices):
    if value not in choices:
        raise ValueError("%s '%s' is not one of %s" % (name, value, ", ".join(choices)))
    return choices[value]


def _fill(device, args, tensors):
    for name, tensor in tensors.items():
        if tensor is not None:
            setattr(args, name, device.buffer_of(tensor))
    return args


# ---- the operators ---------------------------------------------------------------------------------------------------

class _Operator:
    """The differences between attention and dynamic mask attention: names, types, and how to find the attention descriptor."""

    def __init__(self, name, inputs, products, forward_args, backward_desc, backward_args, attention_in):
        self.name, self.inputs, self.products = name, inputs, products
        self.forward_args, self.backward_desc, self.backward_args = forward_args, backward_desc, backward_args
        self.attention_in = attention_in


ATTENTION = _Operator("attention", ("q", "k", "v"), (), native.AttentionArgs, native.AttentionBackwardDesc,
                      native.AttentionBackwardArgs, lambda desc: desc)
DMA = _Operator("dma", ("q", "k", "v", "dt_weight", "a", "dt_bias", "importance", "key_valid", "query_offsets",
                        "key_offsets"), ("importance", "begin", "end"), native.DmaArgs, native.DmaBackwardDesc,
                native.DmaBackwardArgs, lambda desc: desc.attention)


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(ctx, operator, desc, keep, *inputs):
        """`keep`: gradients may be requested, so save what they need."""
        device = device_of(inputs[0])
        tensors = {name: None if t is None else device.share(t) for name, t in zip(operator.inputs, inputs)}
        q, k, v = (tensors[name] for name in "qkv")
        attention = operator.attention_in(desc)
        attention.q_strides, attention.k_strides, attention.v_strides = _strides(q), _strides(k), _strides(v)
        attention.lse = keep
        batch, queries, heads, _ = q.shape
        tensors["out"] = device.empty((batch, queries, heads, v.shape[3]), q.dtype)
        if keep:
            tensors["lse"] = device.empty((batch, heads, queries), torch.float32)
            for name in operator.products:
                if tensors.get(name) is None:
                    tensors[name] = device.empty((batch, k.shape[2], k.shape[1]),
                                                 torch.float32 if name == "importance" else torch.int32)
        device.run(operator.name, desc, _fill(device, operator.forward_args(), tensors))
        if keep:
            ctx.operator, ctx.desc, ctx.names = operator, desc, tuple(tensors)
            ctx.save_for_backward(*tensors.values())
        return tensors["out"]

    @staticmethod
    @once_differentiable
    def backward(ctx, dout):
        operator, tensors = ctx.operator, dict(zip(ctx.names, ctx.saved_tensors))
        device = device_of(dout)
        wanted = [name for name, needed in zip(operator.inputs, ctx.needs_input_grad[3:]) if needed]
        tensors["dout"] = device.share(dout)
        gradients = {}
        for name in wanted:
            like = tensors[name]  # gradients of importance and its parameters are f32
            gradients[name] = device.empty(like.shape, like.dtype if name in "qkv" else torch.float32)
            tensors["d" + name] = gradients[name]
        desc = operator.backward_desc(ctx.desc, gradients=sum(GRADIENTS[name] for name in wanted),
                                      dout_strides=_strides(tensors["dout"]))
        arguments = {name: t for name, t in tensors.items() if hasattr(operator.backward_args, name)}
        device.run(operator.name + "_backward", desc, _fill(device, operator.backward_args(), arguments))
        return (None, None, None, *(gradients[name].to(tensors[name].dtype) if name in gradients else None
                                    for name in operator.inputs))


def _run(operator, desc, inputs):
    keep = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs)
    return _Run.apply(operator, desc, keep, *inputs)


def attention(q, k, v, *, causal=False, scale=0.0, soft_cap=0.0, level=native.LEVEL_BEST):
    """Attention of q [batch, queries, heads, dim] to k and v [batch, keys, kv_heads, dim]. `scale` 0 selects 1 / sqrt(dim);
    `soft_cap` 0 selects no cap. With `causal` the last query sees up to the last key."""
    return _run(ATTENTION, _describe(q, k, v, causal=causal, scale=scale, soft_cap=soft_cap, level=level), (q, k, v))


def dma_attention(q, k, v, *, window=0, dt_weight=None, a=None, dt_bias=None, importance=None,
                  activation="exp_softplus", select="topw", tie_break="later", threshold=0.0, sinks=0, recent=0,
                  sliding=0, causal=True, key_valid=None, query_offsets=None, key_offsets=None, scale=0.0,
                  soft_cap=0.0, level=native.LEVEL_BEST):
    """Dynamic mask attention: each query sees the `window` most important keys of its prefix, with the importance as bias.
    The importance is computed from v by dt_weight [kv_heads, kv_heads * value_dim], a [kv_heads] and dt_bias [kv_heads],
    or given as float32 [batch, kv_heads, keys]. Of equally important keys the later one stays, or the earlier one with
    `tie_break` "earlier", like torch.topk on CUDA. key_valid is uint8 [batch, keys]; the offsets of packed documents
    are int32 [batch, documents + 1]. For the other options see dmattn_importance and dmattn_selection in mask.h."""
    attention_desc = _describe(q, k, v, scale=scale, soft_cap=soft_cap, level=level)
    batch, keys, kv_heads, value_dim = v.shape
    parameter = native.Importance(activation=_choice("activation", activation, ACTIVATIONS), dt_bias=dt_bias is not None)
    if importance is not None:
        if dt_weight is not None or a is not None or dt_bias is not None:
            raise ValueError("dt_weight, a and dt_bias are not allowed with importance")
        _expect("importance", importance, (batch, kv_heads, keys), q, torch.float32)
    else:
        if dt_weight is None or a is None:
            raise ValueError("either importance, or dt_weight and a, must be given")
        parameter.parameter_type = _type(dt_weight, "dt_weight")
        _expect("dt_weight", dt_weight, (kv_heads, kv_heads * value_dim), q, dt_weight.dtype)
        _expect("a", a, (kv_heads,), q, dt_weight.dtype)
        if dt_bias is not None:
            _expect("dt_bias", dt_bias, (kv_heads,), q, dt_weight.dtype)
    documents = 0
    if key_valid is not None:
        _expect("key_valid", key_valid, (batch, keys), q, torch.uint8)
    if query_offsets is not None or key_offsets is not None:
        if query_offsets is None or key_offsets is None:
            raise ValueError("query_offsets and key_offsets must be given together")
        documents = query_offsets.shape[-1] - 1 if query_offsets.dim() == 2 else 0
        if documents < 1:
            raise ValueError("query_offsets is %s, but must be [batch, documents + 1]" % (tuple(query_offsets.shape),))
        _expect("query_offsets", query_offsets, (batch, documents + 1), q, torch.int32)
        _expect("key_offsets", key_offsets, (batch, documents + 1), q, torch.int32)
    desc = native.DmaDesc(
        attention=attention_desc, importance=parameter, importance_given=importance is not None,
        selection=native.Selection(select=_choice("select", select, SELECT), window=window,
                                   tie_break=_choice("tie_break", tie_break, TIE_BREAKS), threshold=threshold,
                                   sinks=sinks, recent=recent, sliding=sliding, causal=causal,
                                   key_valid=key_valid is not None, documents=documents))
    return _run(DMA, desc, (q, k, v, dt_weight, a, dt_bias, importance, key_valid, query_offsets, key_offsets))
