/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE /* putenv */
#include "harness.h"

#include "attention/desc.h"
#include "context.h"
#include "decode/desc.h"
#include "operators/chunk.h"
#include "operators/operators.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

harness h;

static bool required(const char *variable)
{
    const char *value = getenv(variable);
    return value && !strcmp(value, "1");
}

void harness_message(void *user, dmattn_severity severity, const char *text)
{
    harness *to = user;
    if (!strncmp(text, "validation:", strlen("validation:"))) {
        if (to->expected && strstr(text, to->expected)) {
            to->expected_findings++;
            return;
        }
        to->validation_errors += severity == DMATTN_SEVERITY_ERROR;
        fprintf(stderr, "%s %s\n", severity == DMATTN_SEVERITY_ERROR ? "ERROR" : "WARNING", text);
    } else if (severity == DMATTN_SEVERITY_ERROR) {
        to->sentences++;
        snprintf(to->sentence, sizeof to->sentence, "%s", text);
    } else if (severity == DMATTN_SEVERITY_INFO)
        snprintf(to->kernel, sizeof to->kernel, "%s", text);
}

/* Prints the line by which CTest recognises a skipped test. */
static void no_device(const char *why)
{
    cr_assert(!required("DMATTN_REQUIRE_DEVICE"), "no device: %s", why);
    fprintf(stderr, "dmattn tests: no device (%s)\n", why);
    cr_skip_test("no device");
}

static void open_runtime(void)
{
    static char check_addresses[] = "VK_LAYER_GPUAV_ENABLE=1";
    static char no_races[] = "VK_LAYER_GPUAV_SHARED_MEMORY_DATA_RACE=0"; /* the layer does not know subgroup barriers */
    h.gpu_validation = required("DMATTN_REQUIRE_GPU_VALIDATION");
    if (h.gpu_validation) {
        putenv(check_addresses);
        putenv(no_races);
    }
    dmattn_runtime_desc desc = {.validation = true, .message = harness_message, .message_user = &h};
    dmattn_status status = dmattn_runtime_create(&desc, &h.runtime);
    h.validation = status == DMATTN_SUCCESS;
    if (status == DMATTN_ERROR_UNSUPPORTED && !required("DMATTN_REQUIRE_VALIDATION")) {
        desc.validation = false;
        status = dmattn_runtime_create(&desc, &h.runtime);
        if (status == DMATTN_ERROR_UNSUPPORTED)
            no_device(h.sentence);
    }
    cr_assert_eq(status, DMATTN_SUCCESS, "no runtime: %s", h.sentence);
    if (!dmattn_runtime_device_count(h.runtime))
        no_device("the list of devices is empty");
}

void harness_begin(void)
{
    open_runtime();
    dmattn_status status = dmattn_runtime_find_device(h.runtime, getenv("DMATTN_TEST_DEVICE"), &h.index);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s", h.sentence);
    status = dmattn_runtime_device_info(h.runtime, h.index, &h.info);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s", h.sentence);
    status = dmattn_device_create(h.runtime, h.index, &h.device);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s", h.sentence);
    h.context = dmattn_device_context(h.device);
    dmattn_pipeline_table_keep(h.context->pipelines);
}

/* Makes a small plan in f16 and destroys it. */
static dmattn_status try_level(dmattn_level level, bool backward)
{
    const dmattn_attention_backward_desc desc = {
        .attention = {
            .type = DMATTN_TYPE_F16, .batch = 1, .queries = 1, .keys = 1, .heads = 1, .head_dim = 8, .level = level}};
    const char *needed = backward ? NULL : getenv("DMATTN_REQUIRE_LEVEL");
    dmattn_plan *plan;
    const harness before = h;
    const dmattn_status status = backward ? dmattn_attention_backward_plan(h.context, &desc, &plan)
                                          : dmattn_attention_plan(h.context, &desc.attention, &plan);
    dmattn_plan_destroy(plan);
    cr_assert(!status || status == DMATTN_ERROR_UNSUPPORTED, "%s", h.sentence);
    cr_assert(!status || level > DMATTN_LEVEL_PORTABLE, "%s", h.sentence);
    cr_assert(!status || !needed || strcmp(needed, dmattn_level_string(level)) != 0, "%s", h.sentence);
    h.sentences = before.sentences;
    memcpy(h.sentence, before.sentence, sizeof h.sentence);
    memcpy(h.kernel, before.kernel, sizeof h.kernel);
    return status;
}

bool harness_offers(dmattn_level level)
{
    if (level == DMATTN_LEVEL_PORTABLE) /* every device supports it, and trying takes time */
        return true;
    if (!h.offers[level])
        h.offers[level] = try_level(level, false) ? 1 : 2;
    return h.offers[level] == 2;
}

bool harness_offers_backward(dmattn_level level)
{
    if (level == DMATTN_LEVEL_PORTABLE)
        return true;
    if (!h.offers_backward[level])
        h.offers_backward[level] = harness_offers(level) && !try_level(level, true) ? 2 : 1;
    return h.offers_backward[level] == 2;
}

bool harness_has_kernels(const dmattn_attention_desc *desc, dmattn_level level)
{
    return level < DMATTN_LEVEL_MATRIX2 || desc->head_dim <= BAND || h.context->caps.fragment_layout != LAYOUT_UNKNOWN;
}

static const char *cases_asked(void)
{
    const char *cases = getenv("DMATTN_TEST_CASES");
    return cases ? cases : "";
}

bool harness_takes_all(void)
{
    return !strcmp(cases_asked(), "all");
}

/* The share with which a test begins. It differs from test to test, so that shares of many short tests have equal
 * sizes. */
static unsigned first_of_test(void)
{
    unsigned sum = 0;
    for (const char *c = criterion_current_test->name; *c; c++)
        sum += (unsigned char)*c;
    return sum;
}

bool harness_takes(const char *name, bool chosen)
{
    const char *share = getenv("DMATTN_TEST_SHARE"), *cases = cases_asked();
    unsigned mine = 1, of = 1;
    h.runs++;
    if (!harness_takes_all() && !(*cases ? strstr(name, cases) != NULL : chosen))
        return false;
    if (share && *share)
        cr_assert(sscanf(share, "%u/%u", &mine, &of) == 2 && mine >= 1 && mine <= of,
                  "DMATTN_TEST_SHARE=%s is not a share such as 1/4", share);
    const bool taken = (first_of_test() + h.runs_asked++) % of == mine - 1;
    h.runs_taken += taken;
    return taken;
}

bool harness_small_tiles(void)
{
    return h.info.type == VK_PHYSICAL_DEVICE_TYPE_CPU;
}

void harness_small_workgroups(void)
{
    if (harness_small_tiles() && !harness_takes_all())
        h.context->caps.max_invocations = 64;
}

dmattn_level harness_next_level(dmattn_level level)
{
    for (int next = (int)level + 1; next <= DMATTN_LEVEL_MATRIX2; next++)
        if (harness_offers((dmattn_level)next))
            return (dmattn_level)next;
    return DMATTN_LEVEL_BEST;
}

/* A tile with as many invocations as possible: the work of an invocation is unrolled, so less work per invocation
 * compiles faster. */
static bool small_portable_tile(const dmattn_attention_desc *desc, attention_tile *tile)
{
    const uint32_t subgroup = dmattn_capabilities_subgroup_size(&h.context->caps), lanes = subgroup < 8 ? subgroup : 8;
    *tile = (attention_tile){.level = DMATTN_LEVEL_PORTABLE,
                             .subgroup_size = subgroup,
                             .workgroup = 64,
                             .rows = 64 / lanes,
                             .keys = 2 * lanes,
                             .key_lanes = lanes,
                             .depth = 16,
                             .value_keys = 8,
                             .band = BAND,
                             .splits = 1};
    tile->heads_per_tile = dmattn_tile_heads_per_tile(desc, tile->rows);
    return dmattn_tile_fits(tile, &h.context->caps, desc);
}

const attention_tile *harness_tile(const dmattn_attention_desc *desc, attention_tile *tile)
{
    attention_tile tiles[16] = {0};
    char why[224];
    uint32_t count = 0;
    if (h.info.type != VK_PHYSICAL_DEVICE_TYPE_CPU)
        return NULL;
    if (desc->level <= DMATTN_LEVEL_PORTABLE)
        return !harness_takes_all() && small_portable_tile(desc, tile) ? tile : NULL;
    count = dmattn_tile_candidates(&h.context->caps, desc, desc->level, tiles, 16, why, sizeof why);
    *tile = tiles[0];
    for (uint32_t i = 1; i < count; i++)
        if (tiles[i].keys < tile->keys && tiles[i].keys > tiles[i].matrix.n)
            *tile = tiles[i];
    return count ? tile : NULL;
}

dmattn_status harness_decode_plan(const dmattn_decode_desc *desc, dmattn_plan **plan)
{
    const dmattn_level level = desc->attention.level;
    dmattn_decode_desc resolved;
    dmattn_attention_desc of_chunk;
    decode_tile step;
    attention_tile chunk;
    decode_tiles tiles = {0};
    char why[224];
    if ((h.gpu_tiles && !dmattn_capabilities_is_cpu(&h.context->caps)) || !harness_small_tiles() || !level
        || dmattn_decode_desc_resolve(desc, &resolved, NULL))
        return dmattn_decode_plan(h.context, desc, plan);
    if (level == DMATTN_LEVEL_PORTABLE && (h.gpu_tiles || !harness_takes_all())
        && dmattn_decode_tile_choose(&h.context->caps, &resolved, level, &step, why, sizeof why)) {
        step.loads_ahead = h.gpu_tiles ? 8 : 1;
        step.workgroup = h.gpu_tiles ? 128 : 64;
        tiles.step = &step;
    }
    if (resolved.chunk_tokens && !h.gpu_tiles) {
        of_chunk = dmattn_chunk_attention(&resolved);
        ASSERT_OK(dmattn_attention_desc_resolve(&of_chunk, &of_chunk, &h.context->messenger));
        tiles.chunk = harness_tile(&of_chunk, &chunk);
        if (tiles.chunk)
            chunk.splits = dmattn_tile_splits(&of_chunk, &chunk);
    }
    return dmattn_decode_plan_tiles(h.context, desc, &tiles, plan);
}

void harness_end(void)
{
    dmattn_device_destroy(h.device);
    dmattn_runtime_destroy(h.runtime);
    h.device = NULL;
    h.runtime = NULL;
    if (h.runs_taken < h.runs)
        fprintf(stderr, "dmattn tests: %s/%s: %u of %u runs\n", criterion_current_test->category,
                criterion_current_test->name, h.runs_taken, h.runs);
    cr_assert_eq(h.validation_errors, 0, "the validation layer's number of errors is %u", h.validation_errors);
}

void harness_expect(const char *file, int line, dmattn_status got, dmattn_status want, const char *part)
{
    cr_expect_eq(got, want, "%s:%d: %s instead of %s (%s)", file, line, dmattn_status_string(got),
                 dmattn_status_string(want), h.sentence);
    cr_expect_eq(h.sentences, want ? 1u : 0u, "%s:%d: %u messages; the last one: %s", file, line, h.sentences,
                 h.sentence);
    if (want)
        cr_expect(strstr(h.sentence, part), "%s:%d: no '%s' in: %s", file, line, part, h.sentence);
}
