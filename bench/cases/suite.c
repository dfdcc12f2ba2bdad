/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include "parse.h"
#include "serving.h"

#include <stdio.h>
#include <string.h>

const char *suite_name(suite_id id)
{
    static const char *const names[SUITE_COUNT] = {"none",     "quick",  "models",  "scaling",
                                                   "sparsity", "decode", "serving", "full"};
    return names[id];
}

bool parse_suite(const char *text, suite_id *id)
{
    for (int i = SUITE_QUICK; i < SUITE_COUNT; i++)
        if (!strcmp(text, suite_name((suite_id)i))) {
            *id = (suite_id)i;
            return true;
        }
    return false;
}

double suite_budget(suite_id id, VkPhysicalDeviceType device)
{
    if (id != SUITE_QUICK && id != SUITE_SERVING)
        return 0;
    return device == VK_PHYSICAL_DEVICE_TYPE_CPU ? 55 : 110;
}

/* Sizes for a type of device, the same for all devices of the type, so that their results can be compared. */
typedef struct scale {
    const char *models[3]; /* of the quick suite; the other suites use the first one */
    uint32_t n, context;   /* n: of forward and backward; context: of decoding */
    uint32_t window;       /* of the scaling suite, like shortest and longest */
    uint32_t shortest, longest;
    uint32_t least_context, most_context, batch; /* of the decode suite */
} scale;

static const scale *find_scale(VkPhysicalDeviceType device)
{
    enum { K = 1024 };
    static const scale
        cpu = {{"doge-20m"}, 256, 1 * K, 64, 128, 1 * K, 512, 4 * K, 4},
        shared = {{"llama-3-8b", "llama-3.2-1b", "gemma-3-4b"}, 4 * K, 16 * K, 512, 1 * K, 16 * K, 4 * K, 64 * K, 8},
        discrete = {
            {"llama-3-8b", "llama-3.2-1b", "gemma-3-4b"}, 16 * K, 32 * K, 1024, 2 * K, 128 * K, 4 * K, 256 * K, 16};
    return device == VK_PHYSICAL_DEVICE_TYPE_CPU            ? &cpu
           : device == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU ? &discrete
                                                            : &shared;
}

typedef struct builder {
    const scale *scale;
    VkPhysicalDeviceType device;
    const shape_list *shapes;
    const sweep *wanted;
    const char *filter;
    case_list *cases;
} builder;

/* Adds cases of one model and pass; `masks` is a list as for --mask. */
static bool add(const builder *b, const model_shape *model, bench_pass pass, const size_list *n, uint32_t batch,
                const char *masks)
{
    char why[PARSE_WHY_SIZE];
    sweep s = *b->wanted;
    s.model_count = 1;
    s.model[0] = model;
    s.pass = pass;
    s.sink |= model->sinks && pass != PASS_MASK;
    s.batch = (size_list){1, {batch}};
    if (pass == PASS_DECODE)
        s.keys = *n;
    else
        s.n = *n;
    if (!parse_masks(masks, &s, why))
        return false;
    sweep_set_defaults(&s, b->device);
    return case_list_add(b->cases, &s, b->filter, true);
}

/* One size for each pass, and the layers with a sliding window. Gradients come last because on a CPU their kernels take
 * the longest to compile. */
static bool add_model(const builder *b, const model_shape *model)
{
    const size_list n = {1, {b->scale->n}}, context = {1, {b->scale->context}};
    char sliding[32];
    snprintf(sliding, sizeof sliding, "sliding:%u", model->window);
    if (model->decodes)
        return add(b, model, PASS_DECODE, &context, 1, "none");
    return add(b, model, PASS_FORWARD, &n, 1, "causal,topw")
           && (!model->window || add(b, model, PASS_FORWARD, &n, 1, sliding)) && add(b, model, PASS_MASK, &n, 1, "topw")
           && add(b, model, PASS_DECODE, &context, 1, "none,topw")
           && add(b, model, PASS_BACKWARD, &n, 1, "causal,topw");
}

/* first, first * factor, … up to last. */
static size_list sizes_from(uint32_t first, uint32_t last, uint32_t factor)
{
    size_list list = {0};
    for (uint64_t n = first; n <= last && list.count < LIST_MAX; n *= factor)
        list.value[list.count++] = (uint32_t)n;
    return list;
}

static bool add_scaling(const builder *b, const model_shape *model)
{
    const size_list n = sizes_from(b->scale->shortest, b->scale->longest, 2);
    char both[64], topw[32];
    snprintf(topw, sizeof topw, "topw:%u", b->scale->window);
    snprintf(both, sizeof both, "causal,%s", topw);
    return add(b, model, PASS_FORWARD, &n, 1, both) && add(b, model, PASS_MASK, &n, 1, topw)
           && add(b, model, PASS_BACKWARD, &n, 1, both);
}

static bool add_sparsity(const builder *b, const model_shape *model)
{
    const size_list n = {1, {b->scale->n}}, windows = sizes_from(b->scale->n / 64, b->scale->n / 2, 2);
    char topw[256] = "causal", all[512];
    for (uint32_t i = 0; i < windows.count; i++)
        snprintf(topw + strlen(topw), sizeof topw - strlen(topw), ",topw:%u", windows.value[i]);
    snprintf(all, sizeof all,
             "%s,causal+dense:0.05,causal+dense:0.1,causal+dense:0.25,causal+dense:0.5,causal+dense:1,"
             "causal+interval:%u,causal+interval:%u",
             topw, b->scale->n / 32, b->scale->n / 8);
    return add(b, model, PASS_FORWARD, &n, 1, all) && add(b, model, PASS_BACKWARD, &n, 1, topw);
}

static bool add_decoding(const builder *b, const model_shape *model)
{
    const size_list contexts = sizes_from(b->scale->least_context, b->scale->most_context, 2);
    const size_list some = sizes_from(b->scale->least_context, b->scale->most_context / 8, 4);
    return add(b, model, PASS_DECODE, &contexts, 1, "none,paged,topw")
           && add(b, model, PASS_DECODE, &some, b->scale->batch, "none,paged,topw");
}

/* Calls add_cases for the requested models, else for the suite's first `most` models, or for all. */
static bool for_models(const builder *b, bool (*add_cases)(const builder *, const model_shape *), uint32_t most)
{
    bool ok = true;
    if (b->wanted->model_count)
        for (uint32_t i = 0; ok && i < b->wanted->model_count; i++)
            ok = add_cases(b, b->wanted->model[i]);
    else if (most > sizeof b->scale->models / sizeof *b->scale->models)
        for (uint32_t i = 0; ok && i < b->shapes->count; i++)
            ok = add_cases(b, &b->shapes->model[i]);
    else
        for (uint32_t i = 0; ok && i < most && b->scale->models[i]; i++) {
            const char *name = b->scale->models[i];
            const model_shape *model = shapes_find(b->shapes, name, strlen(name));
            if (!model && i < b->shapes->count) /* --shapes has other models */
                model = &b->shapes->model[i];
            ok = !model || add_cases(b, model);
        }
    return ok;
}

bool suite_add_cases(suite_id id, VkPhysicalDeviceType device, const shape_list *shapes, const sweep *wanted,
                     const char *filter, case_list *cases)
{
    const builder b = {find_scale(device), device, shapes, wanted, filter, cases};
    switch (id) {
    case SUITE_QUICK: return for_models(&b, add_model, 3);
    case SUITE_MODELS: return for_models(&b, add_model, MOST_MODELS);
    case SUITE_SCALING: return for_models(&b, add_scaling, 1);
    case SUITE_SPARSITY: return for_models(&b, add_sparsity, 1);
    case SUITE_DECODE: return for_models(&b, add_decoding, 1);
    case SUITE_SERVING: return serving_add_cases(device, shapes, wanted, filter, cases);
    default:
        return for_models(&b, add_model, MOST_MODELS) && for_models(&b, add_scaling, 1)
               && for_models(&b, add_sparsity, 1) && for_models(&b, add_decoding, 1);
    }
}
