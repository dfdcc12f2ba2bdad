/* SPDX-License-Identifier: MIT */
#include "case_file.h"

#include "descriptors/format.h"
#include "reference/element.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INVALID(...) dmattn_fail(m, DMATTN_ERROR_INVALID, __VA_ARGS__)

/* A tensor's shape as text. */
typedef struct shape_text {
    char text[24 * SAFETENSORS_MAX_RANK];
} shape_text;

static shape_text shape_of(const safetensors_tensor *t)
{
    shape_text s = {"["};
    size_t at = 1;
    for (uint32_t i = 0; i < t->rank; i++)
        at +=
            (size_t)snprintf(s.text + at, sizeof s.text - at, "%s%llu", i ? ", " : "", (unsigned long long)t->shape[i]);
    snprintf(s.text + at, sizeof s.text - at, "]");
    return s;
}

static dmattn_status find(const safetensors_file *file, const messenger *m, const char *name,
                          const safetensors_tensor **tensor)
{
    const safetensors_tensor *t = *tensor = safetensors_find(file, name);
    if (!t)
        return INVALID("there is no tensor '%s'", name);
    for (uint32_t i = 0; i < t->rank; i++)
        if (!t->shape[i] || t->shape[i] > INT32_MAX)
            return INVALID("%s has shape %s, but every extent must be from 1 to 2^31 - 1", name, shape_of(t).text);
    return DMATTN_SUCCESS;
}

static dmattn_status float_type(const safetensors_tensor *t, const messenger *m, dmattn_type *type)
{
    switch (t->type) {
    case SAFETENSORS_F32: *type = DMATTN_TYPE_F32; break;
    case SAFETENSORS_F16: *type = DMATTN_TYPE_F16; break;
    case SAFETENSORS_BF16: *type = DMATTN_TYPE_BF16; break;
    default: return INVALID("%s is %s, but must be F32, F16 or BF16", t->name, safetensors_type_name(t->type));
    }
    return DMATTN_SUCCESS;
}

/* Finds q, k or v. Extents in `want` other than 0 are required. */
static dmattn_status find_qkv(const safetensors_file *file, const messenger *m, const char *name,
                              const uint64_t want[4], const safetensors_tensor **tensor)
{
    TRY(find(file, m, name, tensor));
    const safetensors_tensor *t = *tensor;
    if (t->rank != 4)
        return INVALID("%s has shape %s, but must have 4 dimensions", name, shape_of(t).text);
    static const char *const extents[4] = {"the batch", "keys", "key/value heads", "the head dimension"};
    for (int i = 0; i < 4; i++)
        if (want[i] && t->shape[i] != want[i])
            return INVALID("%s has shape %s, but extent %d, %s, must be %llu to fit q, k and v", name, shape_of(t).text,
                           i, extents[i], (unsigned long long)want[i]);
    return DMATTN_SUCCESS;
}

/* Finds a mask, a bias or a bound of intervals: 4 dimensions, or 3 without the dimension of queries. Resolving the
 * descriptor checks the other extents. */
static dmattn_status find_score(const safetensors_file *file, const messenger *m, const char *name, uint32_t least_rank,
                                uint32_t most_rank, uint32_t keys, dmattn_score_shape *shape,
                                const safetensors_tensor **tensor)
{
    TRY(find(file, m, name, tensor));
    const safetensors_tensor *t = *tensor;
    if (t->rank < least_rank || t->rank > most_rank)
        return INVALID("%s has shape %s, but must have %s dimensions", name, shape_of(t).text,
                       most_rank == 3    ? "3"
                       : least_rank == 3 ? "3 or 4"
                                         : "4");
    if (t->shape[t->rank - 1] != keys)
        return INVALID("%s has shape %s, but its last extent must be %u, the number of keys", name, shape_of(t).text,
                       keys);
    *shape = (dmattn_score_shape){
        .batch = (uint32_t)t->shape[0],
        .heads = (uint32_t)t->shape[1],
        .queries = t->rank == 4 ? (uint32_t)t->shape[2] : 1,
    };
    return DMATTN_SUCCESS;
}

/* Reads a number from the metadata, which must be finite as a float and not be rounded to 0. If the name is missing,
 * *value is unchanged. */
static dmattn_status number(const safetensors_file *file, const messenger *m, const char *name, float *value)
{
    const char *text = safetensors_metadata(file, name);
    if (!text)
        return DMATTN_SUCCESS;
    char *end;
    double exact = strtod(text, &end);
    *value = (float)exact;
    if (end == text || *end || isspace((unsigned char)*text) || !isfinite(*value) || (exact != 0 && *value == 0))
        return INVALID("metadata %s is '%.64s', but must be a number in the range of float", name, text);
    return DMATTN_SUCCESS;
}

static dmattn_status flag(const safetensors_file *file, const messenger *m, const char *name, bool *value)
{
    const char *text = safetensors_metadata(file, name);
    if (text && strcmp(text, "0") && strcmp(text, "1"))
        return INVALID("metadata %s is '%.64s', but must be 0 or 1", name, text);
    *value = text && *text == '1';
    return DMATTN_SUCCESS;
}

/* Reads an integer from the metadata. If the name is missing, *value is unchanged. */
static dmattn_status size(const safetensors_file *file, const messenger *m, const char *name, uint32_t *value)
{
    const char *text = safetensors_metadata(file, name);
    char *end = NULL;
    if (!text)
        return DMATTN_SUCCESS;
    const unsigned long long exact = isdigit((unsigned char)*text) ? strtoull(text, &end, 10) : 0;
    *value = (uint32_t)exact;
    if (!end || *end || exact >= 1u << 30)
        return INVALID("metadata %s is '%.64s', but must be an integer below 2^30", name, text);
    return DMATTN_SUCCESS;
}

/* Reads the index of a word in `words` from the metadata. If the name is missing, *value is `missing`, which is an
 * error if it is negative. */
static dmattn_status word(const safetensors_file *file, const messenger *m, const char *name, const char *const words[],
                          int count, int missing, int *value)
{
    const char *text = safetensors_metadata(file, name);
    char list[160] = "";
    *value = missing;
    for (int i = 0; text && i < count; i++) {
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", words[i]);
        if (!strcmp(text, words[i])) {
            *value = i;
            return DMATTN_SUCCESS;
        }
    }
    if (text)
        return INVALID("metadata %s is '%.64s', but must be one of %s", name, text, list);
    return missing < 0 ? INVALID("metadata %s is missing", name) : DMATTN_SUCCESS;
}

/* Reads the parameters that both operators have. */
static dmattn_status read_scale(const safetensors_file *file, const messenger *m, dmattn_attention_desc *d)
{
    d->lse = true;
    TRY(number(file, m, "scale", &d->scale));
    TRY(number(file, m, "soft_cap", &d->soft_cap));
    d->sink = safetensors_find(file, "sink") != NULL;
    if (safetensors_metadata(file, "scale") && d->scale == 0) /* in the descriptor 0 selects the default */
        return INVALID("metadata scale is 0, but must not be");
    return DMATTN_SUCCESS;
}

static dmattn_status read_mask(const safetensors_file *file, const messenger *m, dmattn_attention_desc *d)
{
    bool intervals = false, additive = false;
    TRY(flag(file, m, "causal", &d->causal));
    TRY(flag(file, m, "intervals", &intervals));
    TRY(flag(file, m, "additive", &additive));
    bool dense = safetensors_find(file, "mask") != NULL, selected = safetensors_find(file, "selected") != NULL;
    if (intervals + additive + dense + selected > 1)
        return INVALID("the case has more than one of a mask, intervals, selected keys and an additive mask");
    if (selected)
        TRY(size(file, m, "block", &d->selected_block));
    d->mask = intervals  ? DMATTN_MASK_INTERVALS
              : additive ? DMATTN_MASK_ADDITIVE
              : dense    ? DMATTN_MASK_DENSE
              : selected ? DMATTN_MASK_SELECTED
                         : DMATTN_MASK_NONE;
    d->bias = safetensors_find(file, "bias") != NULL;
    if (additive && !d->bias)
        return INVALID("metadata additive is 1, but there is no bias");
    d->slopes = safetensors_find(file, "slopes") != NULL;
    return DMATTN_SUCCESS;
}

typedef const safetensors_tensor *inputs[TENSOR_COUNT];

/* Reads an f32 tensor. */
static dmattn_status read_f32(const safetensors_file *file, const messenger *m, const char *name, const uint64_t *shape,
                              uint32_t rank, const safetensors_tensor **tensor)
{
    TRY(find(file, m, name, tensor));
    const safetensors_tensor *t = *tensor;
    safetensors_tensor want = {.rank = rank};
    memcpy(want.shape, shape, rank * sizeof *shape);
    if (t->rank != rank || memcmp(t->shape, want.shape, rank * sizeof *shape))
        return INVALID("%s has shape %s, but must have %s", name, shape_of(t).text, shape_of(&want).text);
    if (t->type != SAFETENSORS_F32)
        return INVALID("%s is %s, but must be F32", name, safetensors_type_name(t->type));
    return DMATTN_SUCCESS;
}

/* The elements of a row of k or v that is stored in a format with blocks or scales. */
static dmattn_status stored_dim(const messenger *m, const safetensors_tensor *t, dmattn_format format, uint32_t *dim)
{
    const uint32_t bytes = dmattn_format_block_bytes(format);
    if (t->type != SAFETENSORS_U8 || t->shape[3] % bytes)
        return INVALID(
            "%s is %s of shape %s, but in the format %s must be U8 with a last extent that is a multiple of %u",
            t->name, safetensors_type_name(t->type), shape_of(t).text, dmattn_format_string(format), bytes);
    *dim = (uint32_t)t->shape[3] / bytes * dmattn_format_block(format);
    return DMATTN_SUCCESS;
}

/* Reads k or v, and the scales of its rows. `type`: that of the metadata, or negative; *own_type: the type of k or v if
 * the metadata has none, and if they are no bytes. */
static dmattn_status read_rows(const safetensors_file *file, const messenger *m, tensor_id id, const uint64_t want[4],
                               int type, dmattn_format *format, uint32_t *dim, inputs in)
{
    static const char *const formats[] = {"int8", "e4m3", "q8_0", "q4_0"};
    const bool keys = id == TENSOR_K;
    const tensor_id scales = keys ? TENSOR_K_SCALES : TENSOR_V_SCALES;
    int stored;
    TRY(word(file, m, keys ? "k_format" : "v_format", formats, 4, 4, &stored));
    const uint64_t elements = stored < 4 ? 0 : want[3]; /* bytes are checked below */
    TRY(find_qkv(file, m, keys ? "k" : "v", (uint64_t[4]){want[0], want[1], want[2], elements}, &in[id]));
    const safetensors_tensor *t = in[id];
    if (stored < 4) {
        *format = (dmattn_format)(DMATTN_FORMAT_INT8 + stored);
        TRY(stored_dim(m, t, *format, dim));
        return dmattn_format_has_scales(*format)
                   ? read_f32(file, m, dmattn_tensor_name(scales), t->shape, 3, &in[scales])
                   : DMATTN_SUCCESS;
    }
    dmattn_type own = DMATTN_TYPE_F32;
    TRY(float_type(t, m, &own));
    *format = type < 0 || type == (int)own ? DMATTN_FORMAT_TYPE : dmattn_format_of(DMATTN_FORMAT_TYPE, own);
    *dim = (uint32_t)t->shape[3];
    return DMATTN_SUCCESS;
}

static dmattn_status read_qkv(const safetensors_file *file, const messenger *m, dmattn_attention_desc *d, inputs in)
{
    static const char *const types[] = {
        [DMATTN_TYPE_F32] = "f32", [DMATTN_TYPE_F16] = "f16", [DMATTN_TYPE_BF16] = "bf16"};
    const safetensors_tensor **q = &in[TENSOR_Q], **k = &in[TENSOR_K], **v = &in[TENSOR_V];
    dmattn_type q_type = DMATTN_TYPE_F32;
    int type;
    TRY(word(file, m, "type", types, 3, 3, &type));
    type = type < 3 ? type : -1;
    TRY(find_qkv(file, m, "q", (uint64_t[4]){0}, q));
    TRY(float_type(*q, m, &q_type));
    const uint64_t *of_q = (*q)->shape;
    TRY(read_rows(file, m, TENSOR_K, (uint64_t[4]){of_q[0], 0, 0, of_q[3]}, type, &d->k_format, &d->head_dim, in));
    const uint64_t *of_k = (*k)->shape;
    TRY(read_rows(file, m, TENSOR_V, (uint64_t[4]){of_q[0], of_k[1], of_k[2], 0}, type, &d->v_format, &d->value_dim,
                  in));
    if (d->head_dim != of_q[3])
        return INVALID("k has shape %s, which is %u elements in a row, but q has %llu", shape_of(*k).text, d->head_dim,
                       (unsigned long long)of_q[3]);
    if (type < 0 && (d->k_format || d->v_format))
        return INVALID("metadata type is missing, but k or v has a format");
    if (type < 0)
        TRY(float_type(*k, m, &d->type));
    else
        d->type = (dmattn_type)type;
    d->q_f32 = q_type == DMATTN_TYPE_F32 && d->type != DMATTN_TYPE_F32;
    if ((type < 0 && (*v)->type != (*k)->type) || (q_type != d->type && !d->q_f32))
        return INVALID("q, k and v are %s, %s and %s, but must have the same type, except that q may be F32",
                       safetensors_type_name((*q)->type), safetensors_type_name((*k)->type),
                       safetensors_type_name((*v)->type));
    TRY(flag(file, m, "out_f32", &d->out_f32));
    d->batch = (uint32_t)of_q[0];
    d->queries = (uint32_t)of_q[1];
    d->heads = (uint32_t)of_q[2];
    d->keys = (uint32_t)of_k[1];
    d->kv_heads = (uint32_t)of_k[2];
    return DMATTN_SUCCESS;
}

static dmattn_status read_selected(const safetensors_file *file, const messenger *m, dmattn_attention_desc *d,
                                   const safetensors_tensor **selected)
{
    TRY(find(file, m, "selected", selected));
    const safetensors_tensor *t = *selected;
    const uint64_t count = t->rank == 4 ? t->shape[3] : 0;
    if (t->type != SAFETENSORS_I32 || !count || count >= 1u << 30)
        return INVALID("selected is %s with shape %s, but must be I32 with 4 dimensions",
                       safetensors_type_name(t->type), shape_of(t).text);
    d->selected_count = (uint32_t)count;
    return find_score(file, m, "selected", 4, 4, d->selected_count, &d->mask_shape, selected);
}

static dmattn_status read_scores(const safetensors_file *file, const messenger *m, dmattn_attention_desc *d, inputs in)
{
    if (d->mask == DMATTN_MASK_DENSE) {
        TRY(find_score(file, m, "mask", 4, 4, d->keys, &d->mask_shape, &in[TENSOR_MASK]));
        safetensors_type type = in[TENSOR_MASK]->type;
        if (type != SAFETENSORS_U8 && type != SAFETENSORS_BOOL)
            return INVALID("mask is %s, but must be U8 or BOOL", safetensors_type_name(type));
    }
    if (d->mask == DMATTN_MASK_INTERVALS) {
        const safetensors_tensor **begin = &in[TENSOR_BEGIN], **end = &in[TENSOR_END];
        TRY(find_score(file, m, "begin", 3, 3, d->keys, &d->mask_shape, begin));
        TRY(find_score(file, m, "end", 3, 3, d->keys, &d->mask_shape, end));
        if ((*begin)->type != SAFETENSORS_I32 || (*end)->type != SAFETENSORS_I32)
            return INVALID("begin and end are %s and %s, but must be I32", safetensors_type_name((*begin)->type),
                           safetensors_type_name((*end)->type));
        if (memcmp((*begin)->shape, (*end)->shape, sizeof(*begin)->shape))
            return INVALID("begin has shape %s and end %s, but they must be equal", shape_of(*begin).text,
                           shape_of(*end).text);
    }
    if (d->mask == DMATTN_MASK_SELECTED)
        TRY(read_selected(file, m, d, &in[TENSOR_SELECTED]));
    if (d->bias) {
        uint32_t least_rank = d->mask == DMATTN_MASK_INTERVALS ? 3 : 4;
        TRY(find_score(file, m, "bias", least_rank, 4, d->keys, &d->bias_shape, &in[TENSOR_BIAS]));
        TRY(float_type(in[TENSOR_BIAS], m, &d->bias_type));
    }
    return DMATTN_SUCCESS;
}

/* ---- dynamic masks ------------------------------------------------------------------------------------------- */

static dmattn_status read_selection(const safetensors_file *file, const messenger *m, dmattn_dma_desc *d)
{
    static const char *const activations[] = {
        [DMATTN_ACTIVATION_EXP_SOFTPLUS] = "exp_softplus", [DMATTN_ACTIVATION_SOFTPLUS] = "softplus"};
    static const char *const selections[] = {[DMATTN_SELECT_ALL] = "none",
                                             [DMATTN_SELECT_TOPW_CAUSAL] = "topw_causal",
                                             [DMATTN_SELECT_TOPW_SHARED] = "topw_shared",
                                             [DMATTN_SELECT_THRESHOLD] = "threshold"};
    static const char *const tie_breaks[] = {
        [DMATTN_TIE_BREAK_LATER] = "later", [DMATTN_TIE_BREAK_EARLIER] = "earlier"};
    dmattn_selection *s = &d->selection;
    int activation, select, tie_break;
    TRY(word(file, m, "activation", activations, 2, DMATTN_ACTIVATION_EXP_SOFTPLUS, &activation));
    TRY(word(file, m, "selection", selections, 4, -1, &select));
    TRY(word(file, m, "tie_break", tie_breaks, 2, DMATTN_TIE_BREAK_LATER, &tie_break));
    d->importance.activation = (dmattn_activation)activation;
    s->select = (dmattn_select)select;
    s->tie_break = (dmattn_tie_break)tie_break;
    TRY(size(file, m, "window", &s->window));
    TRY(number(file, m, "threshold", &s->threshold));
    TRY(size(file, m, "sinks", &s->sinks));
    TRY(size(file, m, "recent", &s->recent));
    TRY(size(file, m, "sliding", &s->sliding));
    TRY(flag(file, m, "causal", &s->causal));
    s->key_valid = safetensors_find(file, "key_valid") != NULL;
    d->importance.dt_bias = safetensors_find(file, "dt_bias") != NULL;
    if (s->select == DMATTN_SELECT_THRESHOLD && !safetensors_metadata(file, "threshold"))
        return INVALID("metadata threshold is missing");
    return DMATTN_SUCCESS;
}

/* Finds a tensor with the shape [first], or [first, second] if `rank` is 2. */
static dmattn_status find_shaped(const safetensors_file *file, const messenger *m, const char *name, uint32_t rank,
                                 uint64_t first, uint64_t second, const safetensors_tensor **tensor)
{
    TRY(find(file, m, name, tensor));
    const safetensors_tensor *t = *tensor;
    if (t->rank != rank || t->shape[0] != first || (rank > 1 && t->shape[1] != second))
        return INVALID(rank > 1 ? "%s has shape %s, but must have [%llu, %llu]"
                                : "%s has shape %s, but must have [%llu]",
                       name, shape_of(t).text, (unsigned long long)first, (unsigned long long)second);
    return DMATTN_SUCCESS;
}

/* Checks the document offsets of each batch item: they must ascend within 0 to `length`. */
static dmattn_status check_offsets(const messenger *m, const safetensors_tensor *t, uint32_t length)
{
    const int32_t *offsets = t->data;
    const uint64_t row = t->shape[1];
    for (uint64_t b = 0; b < t->shape[0]; b++)
        for (uint64_t i = 0; i < row; i++) {
            const int32_t least = i ? offsets[b * row + i - 1] : 0, x = offsets[b * row + i];
            if (x < least || (uint32_t)x > length)
                return INVALID("%s of batch item %llu is %d at index %llu, but must be from %d to %u", t->name,
                               (unsigned long long)b, (int)x, (unsigned long long)i, (int)least, length);
        }
    return DMATTN_SUCCESS;
}

static dmattn_status read_mask_inputs(const safetensors_file *file, const messenger *m, dmattn_dma_desc *d, inputs in)
{
    const dmattn_attention_desc *a = &d->attention;
    const uint64_t heads = a->kv_heads;
    dmattn_type type;
    TRY(find_shaped(file, m, "dt_weight", 2, heads, heads * a->value_dim, &in[TENSOR_DT_WEIGHT]));
    TRY(find_shaped(file, m, "a", 1, heads, 0, &in[TENSOR_A]));
    if (d->importance.dt_bias)
        TRY(find_shaped(file, m, "dt_bias", 1, heads, 0, &in[TENSOR_DT_BIAS]));
    for (int t = TENSOR_DT_WEIGHT; t <= TENSOR_DT_BIAS; t++)
        if (in[t])
            TRY(float_type(in[t], m, &type));
    if (d->selection.key_valid) {
        TRY(find_shaped(file, m, "key_valid", 2, a->batch, a->keys, &in[TENSOR_KEY_VALID]));
        const safetensors_type valid = in[TENSOR_KEY_VALID]->type;
        if (valid != SAFETENSORS_U8 && valid != SAFETENSORS_BOOL)
            return INVALID("key_valid is %s, but must be U8 or BOOL", safetensors_type_name(valid));
    }
    if (!safetensors_find(file, "query_offsets") && !safetensors_find(file, "key_offsets"))
        return DMATTN_SUCCESS;
    TRY(find(file, m, "query_offsets", &in[TENSOR_QUERY_OFFSETS]));
    const safetensors_tensor *offsets = in[TENSOR_QUERY_OFFSETS];
    if (offsets->rank != 2 || offsets->shape[0] != a->batch || offsets->shape[1] < 2)
        return INVALID("query_offsets has shape %s, but must have [%u, documents + 1]", shape_of(offsets).text,
                       a->batch);
    TRY(find_shaped(file, m, "key_offsets", 2, a->batch, offsets->shape[1], &in[TENSOR_KEY_OFFSETS]));
    if (offsets->type != SAFETENSORS_I32 || in[TENSOR_KEY_OFFSETS]->type != SAFETENSORS_I32)
        return INVALID("query_offsets and key_offsets are %s and %s, but must be I32",
                       safetensors_type_name(offsets->type), safetensors_type_name(in[TENSOR_KEY_OFFSETS]->type));
    d->selection.documents = (uint32_t)offsets->shape[1] - 1;
    TRY(check_offsets(m, offsets, a->queries));
    return check_offsets(m, in[TENSOR_KEY_OFFSETS], a->keys);
}

/* ---- gradients ----------------------------------------------------------------------------------------------- */

/* Reads dout if the file has it, which requests gradients. */
static dmattn_status read_dout(const safetensors_file *file, const messenger *m, const dmattn_attention_desc *d,
                               inputs in)
{
    if (!safetensors_find(file, "dout"))
        return safetensors_find(file, "dlse") ? INVALID("dlse needs dout, which may be 0") : DMATTN_SUCCESS;
    if (d->q_f32 || (d->out_f32 && d->type != DMATTN_TYPE_F32) || d->k_format || d->v_format)
        return INVALID("dout is there, but gradients need one type for q, k, v and out");
    if (safetensors_find(file, "dlse"))
        TRY(read_f32(file, m, "dlse", (uint64_t[3]){d->batch, d->heads, d->queries}, 3, &in[TENSOR_DLSE]));
    TRY(find(file, m, "dout", &in[TENSOR_DOUT]));
    const safetensors_tensor *t = in[TENSOR_DOUT];
    const uint64_t want[4] = {d->batch, d->queries, d->heads, d->value_dim};
    if (t->rank != 4 || memcmp(t->shape, want, sizeof want))
        return INVALID("dout has shape %s, but must have [%u, %u, %u, %u] like out", shape_of(t).text, d->batch,
                       d->queries, d->heads, d->value_dim);
    if (t->type != in[TENSOR_Q]->type)
        return INVALID("dout is %s, but must be %s like q", safetensors_type_name(t->type),
                       safetensors_type_name(in[TENSOR_Q]->type));
    return DMATTN_SUCCESS;
}

/* ---- the case ------------------------------------------------------------------------------------------------ */

/* The parameters of the importance may have different types in a file, so they are converted to f32. */
static void copy_input(problem *p, tensor_id t, const safetensors_tensor *from)
{
    dmattn_type type = DMATTN_TYPE_F32;
    if (t != TENSOR_DT_WEIGHT && t != TENSOR_A && t != TENSOR_DT_BIAS) /* contiguous in both, so the sizes are equal */
        memcpy(p->stored.tensor[t] ? p->stored.tensor[t] : p->tensor[t], from->data, from->bytes);
    else if (!float_type(from, NULL, &type))
        for (uint64_t i = 0; i < from->bytes / dmattn_type_size(type); i++)
            ((float *)p->tensor[t])[i] = (float)element_load(type, from->data, i);
}

dmattn_status case_file_read(const safetensors_file *file, const messenger *m, problem *p)
{
    static const char *const operators[] = {"attention", "dma"};
    *p = (problem){0};
    dmattn_dma_desc d = {0};
    inputs in = {0};
    int is_dma;
    TRY(word(file, m, "op", operators, 2, -1, &is_dma));
    TRY(read_scale(file, m, &d.attention));
    TRY(read_qkv(file, m, &d.attention, in));
    if (d.attention.sink)
        TRY(read_f32(file, m, "sink", (uint64_t[1]){d.attention.heads}, 1, &in[TENSOR_SINK]));
    TRY(read_dout(file, m, &d.attention, in));
    if (is_dma) {
        TRY(read_selection(file, m, &d));
        TRY(read_mask_inputs(file, m, &d, in));
        TRY(problem_create_dma(&d, m, p));
    } else {
        TRY(read_mask(file, m, &d.attention));
        TRY(read_scores(file, m, &d.attention, in));
        if (d.attention.slopes)
            TRY(read_f32(file, m, "slopes", (uint64_t[1]){d.attention.heads}, 1, &in[TENSOR_SLOPES]));
        TRY(problem_create(&d.attention, m, p));
    }
    const problem_backward wanted = {.dlse = in[TENSOR_DLSE] != NULL};
    const dmattn_status status = in[TENSOR_DOUT] ? problem_add_backward(p, &wanted, m) : DMATTN_SUCCESS;
    for (int t = 0; t < TENSOR_COUNT && !status; t++)
        if (in[t])
            copy_input(p, (tensor_id)t, in[t]);
    if (!status)
        problem_read_stored(p);
    if (status)
        problem_destroy(p);
    return status;
}

bool case_file_takes_tensor(const problem *p, const char *name)
{
    for (int t = 0; t < TENSOR_COUNT; t++)
        if (!strcmp(name, dmattn_tensor_name((tensor_id)t)))
            return p->tensor[t] || p->stored.tensor[t];
    return false;
}

bool case_file_takes_metadata(const problem *p, const char *name)
{
    static const struct {
        const char *name;
        bool attention, dma;
    } names[] = {
        {"op", true, true},         {"type", true, true},     {"k_format", true, true},   {"v_format", true, true},
        {"additive", true, false},  {"block", true, false},   {"out_f32", true, true},    {"scale", true, true},
        {"soft_cap", true, true},   {"causal", true, true},   {"intervals", true, false}, {"activation", false, true},
        {"selection", false, true}, {"window", false, true},  {"threshold", false, true}, {"sinks", false, true},
        {"recent", false, true},    {"sliding", false, true}, {"tie_break", false, true}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i].name))
            return p->dma ? names[i].dma : names[i].attention;
    return false;
}
