/* SPDX-License-Identifier: MIT */
#include "desc.h"

#include "../shape.h"

#include "../../shaders/lib/lists.h"
#include "../../shaders/mask/selection.h"

#include <math.h>
#include <string.h>

#define SELECT_ID(id, name, default_value) CONSTANT_##name = (id),
enum select_constant_id { SELECT_CONSTANTS(SELECT_ID) };
#undef SELECT_ID

/* The capacity of a tile list if the selection sets no bound: 16 KiB. */
#define DEFAULT_CAPACITY 4096

static uint32_t least(uint64_t a, uint64_t b)
{
    return (uint32_t)(a < b ? a : b);
}

static dmattn_status resolve_importance(dmattn_mask_desc *d, const messenger *m)
{
    TRY(dmattn_check_type(m, "type", d->type));
    TRY(dmattn_check_dim(m, "value_dim", d->value_dim, DMATTN_MAX_VALUE_DIM));
    TRY(dmattn_check_type(m, "parameter_type", d->importance.parameter_type));
    if ((unsigned)d->importance.activation > DMATTN_ACTIVATION_SOFTPLUS)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "activation %d is not a dmattn_activation",
                           (int)d->importance.activation);
    if ((uint64_t)d->kv_heads * d->value_dim >= 1u << 28)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "kv_heads times value_dim is 2^28 or more");
    return dmattn_strides_resolve(m, "v", &d->v_strides, d->batch, d->keys, d->kv_heads, d->value_dim);
}

bool dmattn_selection_sorts(const dmattn_selection *s)
{
    return s->select == DMATTN_SELECT_TOPW_CAUSAL || s->select == DMATTN_SELECT_TOPW_SHARED;
}

dmattn_status dmattn_selection_check(const messenger *m, const dmattn_selection *s)
{
    static const char *const names[] = {"ALL", "TOPW_CAUSAL", "TOPW_SHARED", "THRESHOLD"};
    if ((unsigned)s->select > DMATTN_SELECT_THRESHOLD)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "select %d is not a dmattn_select", (int)s->select);
    if (dmattn_selection_sorts(s) && !s->window)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "window is 0, but at least one key must be kept");
    if (!dmattn_selection_sorts(s) && s->window)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "window is %u, but select %s does not use a window", s->window,
                           names[s->select]);
    if ((unsigned)s->tie_break > DMATTN_TIE_BREAK_EARLIER)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "tie_break %d is not a dmattn_tie_break", (int)s->tie_break);
    if (!dmattn_selection_sorts(s) && s->tie_break)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "tie_break is EARLIER, but select %s does not rank keys",
                           names[s->select]);
    if (s->select == DMATTN_SELECT_THRESHOLD && isnan(s->threshold))
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "threshold is NaN");
    if (s->select != DMATTN_SELECT_THRESHOLD && s->threshold != 0)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "threshold is %g, but select %s does not use a threshold",
                           s->threshold, names[s->select]);
    if (s->select == DMATTN_SELECT_TOPW_CAUSAL && !s->causal)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "select is TOPW_CAUSAL, but causal is not set; TOPW_SHARED selects among all keys");
    if (s->select == DMATTN_SELECT_ALL && !s->sliding && (s->sinks || s->recent))
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "%s is set, but select ALL without a sliding window keeps every key",
                           s->sinks ? "sinks" : "recent");
    return DMATTN_SUCCESS;
}

static dmattn_status resolve_selection(dmattn_mask_desc *d, const messenger *m)
{
    dmattn_selection *s = &d->selection;
    TRY(dmattn_selection_check(m, s));
    if (s->documents >= 1u << 30)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "documents is %u, but must be below 2^30", s->documents);
    if (dmattn_selection_sorts(s) && s->window >= d->keys) { /* keeps every key */
        s->select = DMATTN_SELECT_ALL;
        s->window = 0;
        s->tie_break = DMATTN_TIE_BREAK_LATER;
    }
    s->sinks = least(s->sinks, d->keys);
    s->recent = least(s->recent, d->keys);
    s->sliding = s->sliding < d->keys ? s->sliding : 0; /* no limit */
    if (s->select == DMATTN_SELECT_ALL && !s->sliding)
        s->sinks = s->recent = 0;
    return DMATTN_SUCCESS;
}

void dmattn_selection_constants(const dmattn_selection *s, uint32_t *c)
{
    c[CONSTANT_SELECTION] = s->select;
    c[CONSTANT_WINDOW] = s->window;
    memcpy(&c[CONSTANT_THRESHOLD], &s->threshold, sizeof s->threshold);
    c[CONSTANT_SINKS] = s->sinks;
    c[CONSTANT_RECENT] = s->recent;
    c[CONSTANT_SLIDING] = s->sliding;
    c[CONSTANT_TIE_BREAK] = s->tie_break;
}

keys_bound dmattn_selection_bound(const dmattn_selection *s, uint32_t keys)
{
    uint64_t kept = dmattn_selection_sorts(s) ? s->window : keys;
    kept += (uint64_t)s->sinks + s->recent;
    if (s->causal && s->sliding)
        kept = least(kept, (uint64_t)s->sinks + s->sliding);
    if (kept < keys) /* a tile may hold the ends of several documents */
        return (keys_bound){(uint32_t)kept, !s->documents};
    return (keys_bound){least(keys, DEFAULT_CAPACITY), keys <= DEFAULT_CAPACITY};
}

uint32_t dmattn_list_capacity(keys_bound bound, uint32_t keys, uint32_t list_queries, uint32_t wanted)
{
    const uint32_t enough = least((uint64_t)bound.keys + list_queries - 1, keys), unit = LIST_UNIT / 4;
    const uint32_t blocks = dmattn_ceil_div(keys, 1u << LIST_BLOCK_SHIFT);
    uint32_t capacity = wanted ? least(wanted, keys) : enough;
    if ((!bound.exact || capacity < enough) && capacity < blocks)
        capacity = blocks;
    return dmattn_ceil_div(capacity, unit) * unit;
}

dmattn_status dmattn_mask_desc_resolve(const dmattn_mask_desc *desc, dmattn_mask_desc *resolved, const messenger *m)
{
    if (!desc)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "the mask descriptor is NULL");
    dmattn_mask_desc d = *desc;
    d.stages = d.stages ? d.stages : ALL_STAGES;
    if (d.stages & ~ALL_STAGES || d.stages == (DMATTN_STAGE_IMPORTANCE | DMATTN_STAGE_LISTS))
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "stages %#x are not consecutive ones of importance, intervals and lists", d.stages);
    TRY(dmattn_check_size(m, "batch", d.batch));
    TRY(dmattn_check_size(m, "keys", d.keys));
    TRY(dmattn_check_size(m, "kv_heads", d.kv_heads));
    if (d.stages != DMATTN_STAGE_IMPORTANCE)
        TRY(dmattn_check_size(m, "queries", d.queries));
    else
        d.queries = 0;
    if (d.stages & DMATTN_STAGE_IMPORTANCE)
        TRY(resolve_importance(&d, m));
    else {
        memset(&d.importance, 0, sizeof d.importance);
        memset(&d.v_strides, 0, sizeof d.v_strides);
        d.type = DMATTN_TYPE_F32;
        d.value_dim = 0;
    }
    if (d.stages & DMATTN_STAGE_INTERVALS)
        TRY(resolve_selection(&d, m));
    else
        d.selection = (dmattn_selection){.causal = d.stages & DMATTN_STAGE_LISTS && d.selection.causal};
    if (d.stages & DMATTN_STAGE_LISTS) {
        TRY(dmattn_check_size(m, "list_queries", d.list_queries));
        d.list_capacity =
            dmattn_list_capacity(dmattn_selection_bound(&d.selection, d.keys), d.keys, d.list_queries, d.list_capacity);
    } else
        d.list_queries = d.list_capacity = 0;
    for (int t = 0; t < TENSOR_COUNT; t++)
        TRY(dmattn_check_bytes(m, dmattn_tensor_name((tensor_id)t), dmattn_mask_tensor_bytes(&d, (tensor_id)t)));
    *resolved = d;
    return DMATTN_SUCCESS;
}

/* Of a tensor with a number for each key of each plane. */
static uint64_t bytes_of_keys(const dmattn_mask_desc *d)
{
    return dmattn_product(4, d->batch, d->kv_heads, d->keys);
}

uint64_t dmattn_mask_tensor_bytes(const dmattn_mask_desc *d, tensor_id tensor)
{
    const uint64_t parameter = dmattn_type_size(d->importance.parameter_type);
    const bool importance = d->stages & DMATTN_STAGE_IMPORTANCE, intervals = d->stages & DMATTN_STAGE_INTERVALS,
               lists = d->stages & DMATTN_STAGE_LISTS;
    switch (tensor) {
    case TENSOR_V:
        return importance ? dmattn_type_size(d->type)
                                * dmattn_strides_span(&d->v_strides, d->batch, d->keys, d->kv_heads, d->value_dim)
                          : 0;
    case TENSOR_DT_WEIGHT: return importance ? dmattn_product(parameter, d->kv_heads, d->kv_heads, d->value_dim) : 0;
    case TENSOR_A: return importance ? parameter * d->kv_heads : 0;
    case TENSOR_DT_BIAS: return d->importance.dt_bias ? parameter * d->kv_heads : 0;
    case TENSOR_IMPORTANCE:
        return importance || (intervals && d->selection.select != DMATTN_SELECT_ALL) ? bytes_of_keys(d) : 0;
    case TENSOR_KEY_VALID: return d->selection.key_valid ? dmattn_product(d->batch, d->keys) : 0;
    case TENSOR_QUERY_OFFSETS:
    case TENSOR_KEY_OFFSETS:
        return d->selection.documents ? dmattn_product(4, d->batch, d->selection.documents + UINT64_C(1)) : 0;
    case TENSOR_BEGIN:
    case TENSOR_END: return intervals || lists ? bytes_of_keys(d) : 0;
    default: return 0;
    }
}
