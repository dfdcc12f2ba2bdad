/* SPDX-License-Identifier: MIT */
#include "serving.h"

#include "parse.h"

#include <stdio.h>
#include <string.h>

enum { K = 1024, PAGE = 16, OTHER_QUERIES = 16 /* of a short chunk beside a long one */ };

/* The format of `type`, and those of 8 and 4 bits. */
static const dmattn_format formats[] = {DMATTN_FORMAT_TYPE, DMATTN_FORMAT_INT8, DMATTN_FORMAT_E4M3, DMATTN_FORMAT_Q8_0,
                                        DMATTN_FORMAT_Q4_0};
enum { FORMATS = sizeof formats / sizeof *formats, FEW_FORMATS = 2 };

/* Sizes for a type of device, the same for all devices of the type. The first model runs everything, and the others the
 * caches that their layers have, with fewer sizes. */
typedef struct serving_scale {
    const char *models[4];
    size_list sequences, contexts, chunks;
    size_list few_sequences, few_contexts; /* of the other models and of bounded caches */
    uint32_t few_chunks;
    int few_formats;
    uint32_t most_window;        /* of dynamic masks */
    uint32_t longest, others, n; /* one long sequence and n others, in a step or in packed chunks */
} serving_scale;

static const serving_scale *find_scale(VkPhysicalDeviceType device)
{
    static const serving_scale cpu = {.models = {"qwen3-0.6b", "gpt-oss-20b", "doge-20m"},
                                      .sequences = {1, {4}},
                                      .contexts = {2, {128, 512}},
                                      .chunks = {1, {64}},
                                      .few_sequences = {1, {4}},
                                      .few_contexts = {1, {512}},
                                      .few_formats = 2,
                                      .few_chunks = 64,
                                      .most_window = 32,
                                      .longest = 1 * K,
                                      .others = 64,
                                      .n = 6},
                               shared = {.models = {"llama-3-8b", "gpt-oss-20b", "doge-320m"},
                                         .sequences = {3, {1, 8, 64}},
                                         .contexts = {3, {1 * K, 4 * K, 16 * K}},
                                         .chunks = {2, {512, 2 * K}},
                                         .few_sequences = {1, {8}},
                                         .few_contexts = {2, {4 * K, 16 * K}},
                                         .few_formats = FORMATS,
                                         .few_chunks = 512,
                                         .most_window = 1 * K,
                                         .longest = 16 * K,
                                         .others = 500,
                                         .n = 20},
                               discrete = {.models = {"llama-3-8b", "qwen3-30b-a3b", "gpt-oss-20b", "doge-320m"},
                                           .sequences = {4, {1, 8, 64, 256}},
                                           .contexts = {4, {1 * K, 8 * K, 32 * K, 128 * K}},
                                           .chunks = {2, {512, 2 * K}},
                                           .few_sequences = {1, {64}},
                                           .few_contexts = {2, {8 * K, 32 * K}},
                                           .few_formats = FORMATS,
                                           .few_chunks = 2 * K,
                                           .most_window = 2 * K,
                                           .longest = 128 * K,
                                           .others = 500,
                                           .n = 60};
    return device == VK_PHYSICAL_DEVICE_TYPE_CPU            ? &cpu
           : device == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU ? &discrete
                                                            : &shared;
}

typedef struct builder {
    const serving_scale *scale;
    VkPhysicalDeviceType device;
    const sweep *wanted;
    const char *filter;
    case_list *cases;
} builder;

/* Adds steps of `queries` new tokens, or chunks over pages, of the first `count` formats. `mask` is one mask, as for
 * --mask. */
static bool add(const builder *b, const model_shape *model, bench_pass pass, const char *mask, int count,
                const size_list *sequences, const size_list *contexts, uint32_t queries, uint32_t other_keys)
{
    char why[PARSE_WHY_SIZE];
    bool ok = true;
    for (int f = 0; ok && f < count; f++) {
        sweep s = *b->wanted;
        s.model_count = 1;
        s.model[0] = model;
        s.sink |= model->sinks;
        s.pass = pass;
        s.batch = *sequences;
        s.keys = *contexts;
        s.queries = (size_list){1, {queries}};
        s.k_format = s.v_format = formats[f];
        s.page_size = !strncmp(mask, "paged", 5) || pass == PASS_PREFILL ? PAGE : 0;
        s.other_keys = other_keys;
        if (!s.type_count && b->device != VK_PHYSICAL_DEVICE_TYPE_CPU)
            s.type[s.type_count++] = DMATTN_TYPE_BF16;
        ok = parse_masks(mask, &s, why);
        sweep_set_defaults(&s, b->device);
        ok = ok && case_list_add(b->cases, &s, b->filter, true);
    }
    return ok;
}

static size_list one(uint32_t size)
{
    return (size_list){1, {size}};
}

/* The step of one long sequence and many short ones, and each of these two parts alone. */
static bool add_unequal(const builder *b, const model_shape *model)
{
    const serving_scale *s = b->scale;
    const size_list longest = one(s->longest), others = one(s->others), all = one(s->n + 1), n = one(s->n),
                    first = one(1);
    return add(b, model, PASS_DECODE, "paged:plain", FEW_FORMATS, &first, &longest, 1, 0)
           && add(b, model, PASS_DECODE, "paged:plain", FEW_FORMATS, &n, &others, 1, 0)
           && add(b, model, PASS_DECODE, "paged:plain", FEW_FORMATS, &all, &longest, 1, s->others);
}

/* One call for a chunk of a long prompt and short chunks of many others, packed; and each of these two parts alone. */
static bool add_packed(const builder *b, const model_shape *model)
{
    const serving_scale *s = b->scale;
    const size_list longest = one(s->longest), others = one(s->others), all = one(s->n + 1), n = one(s->n),
                    first = one(1);
    builder packed = *b;
    sweep wanted = *b->wanted;
    wanted.packed = true;
    packed.wanted = &wanted;
    const uint32_t chunk = s->chunks.value[0];
    if (!add(&packed, model, PASS_PREFILL, "causal", FEW_FORMATS, &first, &longest, chunk, 0)
        || !add(&packed, model, PASS_PREFILL, "causal", FEW_FORMATS, &n, &others, OTHER_QUERIES, 0))
        return false;
    wanted.other_queries = OTHER_QUERIES;
    return add(&packed, model, PASS_PREFILL, "causal", FEW_FORMATS, &all, &longest, chunk, s->others);
}

/* The layers of a model that see all keys: everything. */
static bool add_first(const builder *b, const model_shape *model)
{
    const serving_scale *s = b->scale;
    const size_list first = one(1);
    bool ok =
        add(b, model, PASS_DECODE, "paged:plain", FORMATS, &s->sequences, &s->contexts, 1, 0) && add_unequal(b, model);
    for (uint32_t i = 0; ok && i < s->chunks.count; i++) {
        size_list contexts = {0};
        for (uint32_t c = 0; c < s->contexts.count; c++)
            if (s->contexts.value[c] > 2 * s->chunks.value[i])
                contexts.value[contexts.count++] = s->contexts.value[c];
        ok = add(b, model, PASS_PREFILL, "causal", FORMATS, &first, &contexts, s->chunks.value[i], 0);
    }
    return ok && add_packed(b, model);
}

/* Layers that see some keys, with a bounded cache; or all, if `bounded` is "paged:plain". */
static bool add_few(const builder *b, const model_shape *model, const char *bounded, const char *chunks)
{
    const serving_scale *s = b->scale;
    const size_list first = one(1), shortest = one(s->few_contexts.value[0]);
    const size_list longest = one(s->few_contexts.value[s->few_contexts.count - 1]);
    return add(b, model, PASS_DECODE, bounded, s->few_formats, &s->few_sequences, &s->few_contexts, 1, 0)
           && (!strncmp(bounded, "paged", 5)
               || add(b, model, PASS_DECODE, bounded, FEW_FORMATS, &s->sequences, &shortest, 1, 0))
           && add(b, model, PASS_PREFILL, chunks, FEW_FORMATS, &first, &longest, s->few_chunks, 0)
           && (!strncmp(bounded, "paged", 5)
               || add(b, model, PASS_DECODE, bounded, FEW_FORMATS, &first, &longest, s->few_chunks, 0));
}

static bool add_model(const builder *b, const model_shape *model, bool all)
{
    char sliding[32], topw[32];
    snprintf(sliding, sizeof sliding, "sliding:%u", model->window);
    snprintf(topw, sizeof topw, "topw:%u", model->topw < b->scale->most_window ? model->topw : b->scale->most_window);
    if (model->topw)
        return add_few(b, model, topw, topw);
    return (all ? add_first(b, model) : add_few(b, model, "paged:plain", "causal"))
           && (!model->window || add_few(b, model, sliding, sliding));
}

bool serving_add_cases(VkPhysicalDeviceType device, const shape_list *shapes, const sweep *wanted, const char *filter,
                       case_list *cases)
{
    const builder b = {find_scale(device), device, wanted, filter, cases};
    bool ok = true;
    for (uint32_t i = 0; ok && i < wanted->model_count; i++)
        ok = add_model(&b, wanted->model[i], true);
    for (uint32_t i = 0; ok && !wanted->model_count && i < 4 && b.scale->models[i]; i++) {
        const char *name = b.scale->models[i];
        const model_shape *model = shapes_find(shapes, name, strlen(name));
        if (!model && i < shapes->count) /* --shapes has other models */
            model = &shapes->model[i];
        ok = !model || add_model(&b, model, !i);
    }
    return ok;
}
