/* SPDX-License-Identifier: MIT */
#include "weights.h"

#include "vulkan/die.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the list of tensors ----------------------------------------------------------------------------------------- */

/* Distributions of random weights. Linear layers keep the variance of their inputs; the others are near the values with
 * which training starts. */
typedef enum draw { DRAW_LINEAR, DRAW_EMBEDDING, DRAW_ONES, DRAW_IMPORTANCE } draw;

typedef struct tensor {
    char name[96];
    size_t *offset;
    uint32_t rows, columns; /* rows is 0 for a tensor of one dimension */
    draw draw;
} tensor;

enum { LAYER_TENSORS = 15, MAX_TENSORS = MAX_LAYERS * LAYER_TENSORS + 3 };

/* Lists the tensors in memory order. Their `offset` members point to the offsets in *w. `tied`: without lm_head. */
static uint32_t list_tensors(weights *w, bool tied, tensor *list)
{
    const model_shape *s = &w->shape;
    const uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim, c = s->hidden;
    uint32_t count = 0;
    list[count++] = (tensor){"model.embed_tokens.weight", &w->embed, s->vocabulary, c, DRAW_EMBEDDING};
    for (uint32_t i = 0; i < s->layers; i++) {
        layer_weights *l = &w->layer[i];
        const tensor layer[LAYER_TENSORS] = {
            {"input_layernorm.weight", &l->norm, 0, c, DRAW_ONES},
            {"self_attn.q_proj.weight", &l->q, q, c, DRAW_LINEAR},
            {"self_attn.k_proj.weight", &l->k, kv, c, DRAW_LINEAR},
            {"self_attn.v_proj.weight", &l->v, kv, c, DRAW_LINEAR},
            {"self_attn.q_norm.weight", &l->q_norm, 0, s->head_dim, DRAW_ONES},
            {"self_attn.k_norm.weight", &l->k_norm, 0, s->head_dim, DRAW_ONES},
            {"self_attn.dt_proj.weight", &l->dt, s->kv_heads, kv, DRAW_LINEAR},
            {"self_attn.A", &l->a, 0, s->kv_heads, DRAW_IMPORTANCE},
            {"self_attn.o_proj.weight", &l->o, c, q, DRAW_LINEAR},
            {"input_residual", &l->residual, 0, c, DRAW_ONES},
            {"post_attention_layernorm.weight", &l->mlp_norm, 0, c, DRAW_ONES},
            {"mlp.gate_proj.weight", &l->gate, s->inner, c, DRAW_LINEAR},
            {"mlp.up_proj.weight", &l->up, s->inner, c, DRAW_LINEAR},
            {"mlp.down_proj.weight", &l->down, c, s->inner, DRAW_LINEAR},
            {"post_attention_residual", &l->mlp_residual, 0, c, DRAW_ONES},
        };
        for (uint32_t t = 0; t < LAYER_TENSORS; t++) {
            list[count] = layer[t];
            snprintf(list[count++].name, sizeof list->name, "model.layers.%u.%.64s", i, layer[t].name);
        }
    }
    list[count++] = (tensor){"model.norm.weight", &w->norm, 0, c, DRAW_ONES};
    if (!tied)
        list[count++] = (tensor){"lm_head.weight", &w->head, s->vocabulary, c, DRAW_LINEAR};
    return count;
}

static size_t tensor_size(const tensor *t)
{
    return (size_t)(t->rows ? t->rows : 1) * t->columns;
}

static void check_shape(const model_shape *s)
{
    if (!s->vocabulary || !s->layers || s->layers > MAX_LAYERS || !s->hidden || s->hidden % 4 || !s->inner
        || s->inner % 4 || !s->kv_heads || !s->heads || s->heads % s->kv_heads || !s->head_dim || s->head_dim % 8)
        refuse("%u tokens, %u layers, hidden size %u, inner size %u, %u heads, %u kv heads, head dimension %u: not "
               "supported",
               s->vocabulary, s->layers, s->hidden, s->inner, s->heads, s->kv_heads, s->head_dim);
}

/* Assigns the offsets of `count` tensors and allocates the data. */
static void lay_out(weights *w, bool tied, tensor *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        *list[i].offset = w->count;
        w->count += (tensor_size(&list[i]) + 3) / 4 * 4; /* aligned to 16 bytes for the shaders and dmattn */
    }
    if (tied)
        w->head = w->embed;
    w->data = calloc(w->count, sizeof *w->data);
    if (!w->data)
        die("no host memory for %zu weights", w->count);
}

static tensor *new_list(void)
{
    tensor *list = calloc(MAX_TENSORS, sizeof *list);
    if (!list)
        die("no host memory");
    return list;
}

void weights_free(weights *w)
{
    free(w->data);
    *w = (weights){0};
}

/* ---- random ------------------------------------------------------------------------------------------------------ */

/* splitmix64 (Steele, Lea, Flood 2014) */
static double uniform(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static double normal(uint64_t *state)
{
    const double u = uniform(state), v = uniform(state);
    return sqrt(-2 * log(1 - u)) * cos(6.283185307179586 * v);
}

weights weights_random(const model_shape *shape, uint64_t seed)
{
    weights w = {.shape = *shape, .epsilon = 1e-6f, .rope_theta = 10000};
    check_shape(shape);
    tensor *list = new_list();
    const uint32_t count = list_tensors(&w, false, list);
    lay_out(&w, false, list, count);
    for (uint32_t i = 0; i < count; i++)
        for (size_t e = 0; e < tensor_size(&list[i]); e++) {
            const double x = normal(&seed);
            float *to = &w.data[*list[i].offset + e];
            switch (list[i].draw) {
            case DRAW_LINEAR: *to = (float)(x / sqrt(list[i].columns)); break;
            case DRAW_EMBEDDING: *to = (float)x; break;
            case DRAW_ONES: *to = (float)(1 + x / 10); break;
            case DRAW_IMPORTANCE: *to = (float)(0.5 + x / 4); break;
            }
        }
    free(list);
    return w;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

typedef struct source {
    const safetensors_file *files;
    size_t count;
} source;

static const safetensors_tensor *find(const source *from, const char *name)
{
    const safetensors_tensor *found = NULL;
    for (size_t i = 0; i < from->count && !found; i++)
        found = safetensors_find(&from->files[i], name);
    return found;
}

/* The size of one dimension of a tensor, which is part of the model's shape. */
static uint32_t extent(const source *from, const char *name, uint32_t dimension)
{
    const safetensors_tensor *t = find(from, name);
    if (!t || dimension >= t->rank || t->shape[dimension] > 1 << 20)
        refuse("the weights have no tensor %s, or its shape is wrong", name);
    return (uint32_t)t->shape[dimension];
}

static model_shape shape_of(const source *from)
{
    char name[64];
    model_shape s = {.vocabulary = extent(from, "model.embed_tokens.weight", 0),
                     .hidden = extent(from, "model.embed_tokens.weight", 1),
                     .head_dim = extent(from, "model.layers.0.self_attn.q_norm.weight", 0),
                     .kv_heads = extent(from, "model.layers.0.self_attn.A", 0),
                     .inner = extent(from, "model.layers.0.mlp.gate_proj.weight", 0)};
    s.heads = extent(from, "model.layers.0.self_attn.q_proj.weight", 0) / (s.head_dim ? s.head_dim : 1);
    do
        snprintf(name, sizeof name, "model.layers.%u.self_attn.A", ++s.layers);
    while (s.layers <= MAX_LAYERS && find(from, name));
    return s;
}

static void check_tensor(const source *from, const tensor *t)
{
    const safetensors_tensor *stored = find(from, t->name);
    const uint32_t rank = t->rows ? 2 : 1;
    char shape[32];
    if (t->rows)
        snprintf(shape, sizeof shape, "[%u, %u]", t->rows, t->columns);
    else
        snprintf(shape, sizeof shape, "[%u]", t->columns);
    if (!stored || stored->rank != rank || stored->shape[rank - 1] != t->columns
        || (t->rows && stored->shape[0] != t->rows)
        || (stored->type != SAFETENSORS_F32 && stored->type != SAFETENSORS_F16 && stored->type != SAFETENSORS_BF16))
        refuse("the weights have no tensor %s of type F32, F16 or BF16 and shape %s", t->name, shape);
}

/* A tensor that the model does not have, such as a bias, would make results wrong. */
static void refuse_others(const source *from, const tensor *list, uint32_t count)
{
    for (size_t f = 0; f < from->count; f++)
        for (size_t i = 0; i < from->files[f].tensor_count; i++) {
            const char *name = from->files[f].tensors[i].name;
            uint32_t t = 0;
            while (t < count && strcmp(list[t].name, name))
                t++;
            if (t == count)
                refuse("the weights have the tensor '%.96s', which is not one of this model", name);
        }
}

static float from_half(uint16_t half)
{
    const uint32_t magnitude = half & 0x7fff, exponent = magnitude >> 10;
    uint32_t bits = (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | (magnitude & 0x3ff) << 13;
    float x;
    memcpy(&x, &bits, sizeof x);
    if (!exponent)
        x = (float)magnitude * 0x1p-24f; /* 0 or a subnormal number */
    return half & 0x8000 ? -x : x;
}

static void read_tensor(const safetensors_tensor *from, size_t size, float *to)
{
    const uint16_t *halves = from->data;
    if (from->type == SAFETENSORS_F32)
        memcpy(to, from->data, size * sizeof *to);
    else
        for (size_t i = 0; i < size; i++) {
            const uint32_t upper = (uint32_t)halves[i] << 16;
            if (from->type == SAFETENSORS_F16)
                to[i] = from_half(halves[i]);
            else
                memcpy(&to[i], &upper, sizeof *to);
        }
}

weights weights_from_files(const safetensors_file *files, size_t count)
{
    const source from = {files, count};
    const bool tied = !find(&from, "lm_head.weight");
    weights w = {.shape = shape_of(&from), .epsilon = 1e-6f, .rope_theta = 10000};
    check_shape(&w.shape);
    tensor *list = new_list();
    const uint32_t tensors = list_tensors(&w, tied, list);
    for (uint32_t i = 0; i < tensors; i++)
        check_tensor(&from, &list[i]);
    refuse_others(&from, list, tensors);
    lay_out(&w, tied, list, tensors);
    for (uint32_t i = 0; i < tensors; i++)
        read_tensor(find(&from, list[i].name), tensor_size(&list[i]), w.data + *list[i].offset);
    free(list);
    return w;
}

void weights_write(const weights *w, const char *path)
{
    weights same = *w; /* a copy, because list_tensors() sets pointers into it */
    tensor *list = new_list();
    const uint32_t count = list_tensors(&same, w->head == w->embed, list);
    safetensors_tensor *tensors = calloc(count, sizeof *tensors);
    if (!tensors)
        die("no host memory");
    for (uint32_t i = 0; i < count; i++) {
        const tensor *t = &list[i];
        tensors[i] = (safetensors_tensor){
            .name = t->name, .type = SAFETENSORS_F32, .rank = t->rows ? 2 : 1, .data = w->data + *t->offset};
        tensors[i].shape[0] = t->rows ? t->rows : t->columns;
        tensors[i].shape[1] = t->rows ? t->columns : 0;
    }
    char error[SAFETENSORS_ERROR_SIZE];
    if (safetensors_write(path, &(safetensors_file){.tensors = tensors, .tensor_count = count}, error))
        die("%s: %s", path, error);
    free(tensors);
    free(list);
}
