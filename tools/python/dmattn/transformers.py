# SPDX-License-Identifier: MIT
"""dmattn as the attention of models of Hugging Face's transformers, version 5:

    from dmattn.transformers import use_dmattn
    model = use_dmattn(DogeForCausalLM.from_pretrained(...).cuda())

The models stay as they are: they train, generate with a cache, are saved and loaded. No tensor has a number for each
pair of a query and a key. What dmattn would compute in another way is refused with a ValueError."""
import sys

import torch
import torch.nn.functional as F
from transformers.masking_utils import AttentionMaskInterface, causal_mask_function
from transformers.modeling_utils import AttentionInterface

from .operators import attention, dma_attention

NAME = "dmattn"  # of the attention implementation


def use_dmattn(model):
    """Makes a model use dmattn, and returns it. Doge gets dynamic mask attention; models that call an attention
    function (Llama, Qwen, Gemma and others) get causal attention. `model.set_attn_implementation("eager")` undoes it.
    """
    doge = [module for module in model.modules() if type(module).__name__ == "DogeAttention"]
    for layer in doge:
        sliding = layer.config.sliding_window
        if sliding is not None and layer.keep_window_size < sliding:
            raise ValueError("keep_window_size %d is less than sliding_window %d: dmattn does not select among the keys "
                             "of a sliding window" % (layer.keep_window_size, sliding))
        if "dmattn_original" not in vars(type(layer)):
            type(layer).dmattn_original, type(layer).forward = type(layer).forward, doge_forward
    model.set_attn_implementation(NAME)
    return model


# ---- masks -----------------------------------------------------------------------------------------------------------

def padding_mask(batch_size, q_length, kv_length, q_offset=0, kv_offset=0, mask_function=causal_mask_function,
                 attention_mask=None, local_size=None, **_options):
    """The mask that transformers hands to the layers: which keys are no padding, bool [batch, keys], or None if all are
    valid. What else a query sees is known to the functions below."""
    q_offset, kv_offset = int(q_offset), int(kv_offset)
    if q_offset + q_length != kv_offset + kv_length:
        raise ValueError("dmattn needs a cache that ends with the new tokens, such as DynamicCache, not a static one")
    if mask_function is not causal_mask_function or local_size:
        _check_mask_function(mask_function, batch_size, q_length, q_offset, kv_offset, local_size)
    if attention_mask is None:
        return None
    valid = attention_mask[:, kv_offset:kv_offset + kv_length].bool()
    valid = F.pad(valid, (0, kv_length - valid.shape[1]))
    return None if valid.all() else valid


def _check_mask_function(mask_function, batch_size, q_length, q_offset, kv_offset, local_size):
    """Probes the ends of each query's keys: the first one, by the sliding window, and its own one."""
    q = torch.arange(q_offset, q_offset + q_length).repeat(batch_size)
    batch = torch.arange(batch_size).repeat_interleave(q_length)
    first = torch.clamp(q - local_size + 1, min=kv_offset) if local_size else torch.full_like(q, kv_offset)
    for keys, visible in ((q, True), (first, True), (q + 1, False), (first - 1, False)):
        there = (keys >= kv_offset) & (keys < q_offset + q_length)
        seen = mask_function(batch[there], torch.zeros_like(batch[there]), q[there], keys[there])
        if not torch.as_tensor(seen).eq(visible).all():
            raise ValueError("dmattn supports causal masks with a sliding window and padding, but not packed sequences "
                             "or other masks")


def _key_valid(mask):
    """The mask of padding_mask() for dma_attention()."""
    if mask is not None and mask.dim() != 2:
        raise ValueError("attention_mask has %d dimensions, but dmattn supports only padding, [batch, keys]"
                         % mask.dim())
    return None if mask is None else mask.to(torch.uint8)


def _refuse_dropout(dropout):
    if dropout:
        raise ValueError("attention_dropout is %g, but dmattn has no dropout" % dropout)


# ---- layers ----------------------------------------------------------------------------------------------------------

def attention_forward(module, query, key, value, attention_mask, dropout=0.0, scaling=None, is_causal=None,
                      sliding_window=None, softcap=None, **options):
    """An attention function of transformers, for causal models: query is [batch, heads, queries, dim]. Returns the
    output [batch, queries, heads, dim], and None instead of probabilities."""
    _refuse_dropout(dropout)
    if not (getattr(module, "is_causal", True) if is_causal is None else is_causal):
        raise ValueError("%s is not causal, but dmattn's attention function is" % type(module).__name__)
    if options.get("s_aux") is not None:
        raise ValueError("%s has attention sinks, which this function does not have" % type(module).__name__)
    q, k, v = (t.transpose(1, 2) for t in (query, key, value))
    key_valid, keys = _key_valid(attention_mask), k.shape[1]
    how = {"scale": scaling or 0.0, "soft_cap": softcap or 0.0}
    sliding = sliding_window if sliding_window and sliding_window < keys else 0
    if key_valid is None and not sliding:
        return attention(q, k, v, causal=True, **how), None
    bias = torch.zeros(k.shape[0], k.shape[2], keys, device=k.device)
    return dma_attention(q, k, v, importance=bias, select="all", sliding=sliding, key_valid=key_valid, **how), None


def doge_forward(self, hidden_states, position_embeddings, attention_mask=None, past_key_values=None, **options):
    """DogeAttention.forward(), with dmattn if the model uses it. The importance is computed as the model does, also
    rounded to its type."""
    if self.config._attn_implementation != NAME:
        return self.dmattn_original(hidden_states, position_embeddings=position_embeddings,
                                    attention_mask=attention_mask, past_key_values=past_key_values, **options)
    _refuse_dropout(self.attention_dropout if self.training else 0.0)
    shape = (*hidden_states.shape[:-1], -1, self.head_dim)
    q = self.q_norm(self.q_proj(hidden_states).view(shape))
    k = self.k_norm(self.k_proj(hidden_states).view(shape))
    v = self.v_proj(hidden_states).view(shape)
    rotate = sys.modules[type(self).__module__].apply_rotary_pos_emb
    q, k = rotate(q, k, *position_embeddings, unsqueeze_dim=2)
    if past_key_values is not None:
        k, v = past_key_values.update(k.transpose(1, 2), v.transpose(1, 2), self.layer_idx)
        k, v = k.transpose(1, 2), v.transpose(1, 2)
    importance = torch.exp(self.A * F.softplus(self.dt_proj(v.flatten(2)))).transpose(1, 2).float()
    how = {"window": self.keep_window_size, "tie_break": "earlier"}
    if self.config.sliding_window:  # it has no more keys than keep_window_size
        how = {"select": "all", "sliding": self.config.sliding_window}
    out = dma_attention(q, k, v, importance=importance, key_valid=_key_valid(attention_mask), scale=self.scaling, **how)
    return self.o_proj(out.reshape(*hidden_states.shape[:-1], -1)), None


AttentionInterface.register(NAME, attention_forward)
AttentionMaskInterface.register(NAME, padding_mask)
