/* SPDX-License-Identifier: MIT
 * Tensors of more than 4 GiB: strides above 2^31 elements, caches above 4 GiB, and a dense mask above 2^32 bytes.
 * Sampled rows are compared with the reference. The tests run only if DMATTN_TEST_LARGE is 1 and the device has the
 * memory. */
#include "decode/desc.h"
#include "low_precision.h"
#include "problem.h"
#include "reference/decode.h"
#include "reference/element.h"
#include "support/harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define F16 DMATTN_TYPE_F16

/* Makes a buffer, or skips the test. Its contents are undefined. */
static dmattn_buffer make(uint64_t bytes, const void *data)
{
    dmattn_buffer buffer;
    const dmattn_status status = dmattn_buffer_create(h.device, bytes, &buffer);
    if (status == DMATTN_ERROR_OUT_OF_MEMORY) {
        harness_end();
        cr_skip_test("the device has no %llu bytes for a buffer", (unsigned long long)bytes);
    }
    cr_assert_eq(status, DMATTN_SUCCESS, "%s", h.sentence);
    if (data)
        ASSERT_OK(dmattn_upload(h.device, &buffer, 0, data, bytes));
    return buffer;
}

static void skip_unless_wanted(void)
{
    const char *wanted = getenv("DMATTN_TEST_LARGE");
    if (!wanted || strcmp(wanted, "1") != 0) {
        harness_end();
        cr_skip_test("DMATTN_TEST_LARGE is not 1");
    }
}

static void *random_elements(uint64_t count, uint64_t seed)
{
    uint16_t *data = malloc(count * sizeof *data);
    for (uint64_t i = 0; i < count; i++)
        element_store(F16, data, i, random_normal(&seed));
    return data;
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

#define DIM 64

/* The inputs of a query: its row of q, all keys of its kv head, and its row of a dense mask or NULL. */
typedef struct query_inputs {
    const uint16_t *q, *k, *v;
    const uint8_t *mask;
    uint32_t keys;
} query_inputs;

static void expect_row(const char *name, const query_inputs *in, const uint16_t *got)
{
    dmattn_attention_desc d = {.type = F16,
                               .batch = 1,
                               .queries = 1,
                               .keys = in->keys,
                               .heads = 1,
                               .head_dim = DIM,
                               .mask = in->mask ? DMATTN_MASK_DENSE : DMATTN_MASK_NONE};
    const reference_inputs inputs = {.q = in->q, .k = in->k, .v = in->v, .mask = in->mask};
    double want[DIM];
    float low[DIM], low_lse, out[DIM];
    ASSERT_OK(dmattn_attention_desc_resolve(&d, &d, NULL));
    ASSERT_OK(reference_attention(&d, &inputs, want, NULL));
    low_precision_attention(&d, &inputs, low, &low_lse);
    const errors low_errors = compare_results(&d, low, NULL, want, NULL);
    const tolerances allowed = derive_tolerances(&d, &low_errors);
    for (int i = 0; i < DIM; i++)
        out[i] = (float)element_load(F16, got, (uint64_t)i);
    const errors found = compare_results(&d, out, NULL, want, NULL);
    cr_expect(!found.out_mismatch && found.out <= allowed.out, "%s: off by %g, allowed %g", name, found.out,
              allowed.out);
}

/* Plans, adds a workspace to the buffers, and runs. */
static void run_attention(const dmattn_attention_desc *desc, dmattn_attention_args args)
{
    dmattn_plan *plan;
    dmattn_plan_info info;
    VkCommandBuffer commands;
    ASSERT_OK(dmattn_attention_plan(h.context, desc, &plan));
    dmattn_plan_get_info(plan, &info);
    args.workspace = make(info.workspace_size + 16, NULL);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_attention_record(plan, commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
    dmattn_buffer_destroy(h.device, &args.workspace);
    dmattn_plan_destroy(plan);
}

/* Copies the rows [2, rows, DIM] of a tensor whose batch items and rows are far apart. */
typedef struct far_tensor {
    dmattn_buffer buffer;
    dmattn_strides strides;
    uint32_t rows;
} far_tensor;

static far_tensor make_far(const dmattn_strides *strides, uint32_t rows)
{
    const uint64_t elements = strides->batch + (rows - 1) * strides->sequence + DIM;
    return (far_tensor){make(2 * elements, NULL), *strides, rows};
}

static void copy_far(const far_tensor *t, uint16_t *data, bool up)
{
    for (uint64_t b = 0; b < 2; b++)
        for (uint64_t i = 0; i < t->rows; i++, data += DIM) {
            const uint64_t at = 2 * (b * t->strides.batch + i * t->strides.sequence);
            if (up)
                ASSERT_OK(dmattn_upload(h.device, &t->buffer, at, data, 2 * DIM));
            else
                ASSERT_OK(dmattn_download(h.device, &t->buffer, at, data, 2 * DIM));
        }
}

static void run_strides(dmattn_level level, const dmattn_strides *queries, const dmattn_strides *keys)
{
    enum { QUERIES = 40, KEYS = 100 };
    const dmattn_attention_desc d = {.type = F16,
                                     .batch = 2,
                                     .queries = QUERIES,
                                     .keys = KEYS,
                                     .heads = 1,
                                     .head_dim = DIM,
                                     .level = level,
                                     .q_strides = *queries,
                                     .k_strides = *keys,
                                     .v_strides = *keys,
                                     .out_strides = *queries};
    const far_tensor q = make_far(queries, QUERIES), k = make_far(keys, KEYS), v = make_far(keys, KEYS);
    const far_tensor out = make_far(queries, QUERIES);
    uint16_t *q_rows = random_elements(2 * QUERIES * DIM, 1), *k_rows = random_elements(2 * KEYS * DIM, 2);
    uint16_t *v_rows = random_elements(2 * KEYS * DIM, 3), *out_rows = random_elements(2 * QUERIES * DIM, 4);
    copy_far(&q, q_rows, true);
    copy_far(&k, k_rows, true);
    copy_far(&v, v_rows, true);
    run_attention(&d, (dmattn_attention_args){.q = q.buffer, .k = k.buffer, .v = v.buffer, .out = out.buffer});
    copy_far(&out, out_rows, false);
    for (uint32_t i = 0; i < 2 * QUERIES; i += 13) {
        const query_inputs in = {.q = q_rows + i * DIM,
                                 .k = k_rows + i / QUERIES * KEYS * DIM,
                                 .v = v_rows + i / QUERIES * KEYS * DIM,
                                 .keys = KEYS};
        expect_row(dmattn_level_string(level), &in, out_rows + i * DIM);
    }
    dmattn_buffer buffers[] = {q.buffer, k.buffer, v.buffer, out.buffer};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        dmattn_buffer_destroy(h.device, &buffers[i]);
    free(q_rows);
    free(k_rows);
    free(v_rows);
    free(out_rows);
}

/* Strides of batch items, and of rows, so that the last ones are more than 2^31 elements away. */
DEVICE_TEST(large, strides)
{
    skip_unless_wanted();
    const uint64_t far = (UINT64_C(1) << 31) + 64;
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level)) {
        run_strides(level, &(dmattn_strides){far, DIM, DIM}, &(dmattn_strides){far + 64, DIM, DIM});
        run_strides(level, &(dmattn_strides){64 * DIM, far / 32 / DIM * DIM, DIM},
                    &(dmattn_strides){DIM, far / 64 / DIM * DIM, DIM});
    }
}

/* Whether a query sees a key: one of four keys. */
static void fill_mask_row(uint8_t *row, uint32_t query, uint32_t keys)
{
    for (uint32_t j = 0; j < keys; j++)
        row[j] = ((query * 2654435761u) ^ (j * 2246822519u)) >> 30 == 0;
}

/* The mask of the last queries lies behind 2^32 bytes. */
DEVICE_TEST(large, dense_mask)
{
    enum { LENGTH = 65600, ROWS = 512 };
    skip_unless_wanted();
    const dmattn_attention_desc d = {.type = F16,
                                     .batch = 1,
                                     .queries = LENGTH,
                                     .keys = LENGTH,
                                     .heads = 1,
                                     .head_dim = DIM,
                                     .mask = DMATTN_MASK_DENSE,
                                     .mask_shape = {.queries = LENGTH}};
    const dmattn_buffer mask = make((uint64_t)LENGTH * LENGTH, NULL);
    uint8_t *rows = malloc((uint64_t)ROWS * LENGTH);
    for (uint32_t first = 0; first < LENGTH; first += ROWS) {
        const uint32_t count = LENGTH - first < ROWS ? LENGTH - first : ROWS;
        for (uint32_t i = 0; i < count; i++)
            fill_mask_row(rows + (uint64_t)i * LENGTH, first + i, LENGTH);
        ASSERT_OK(dmattn_upload(h.device, &mask, (uint64_t)first * LENGTH, rows, (uint64_t)count * LENGTH));
    }
    uint16_t *q = random_elements((uint64_t)LENGTH * DIM, 1), *k = random_elements((uint64_t)LENGTH * DIM, 2);
    uint16_t *v = random_elements((uint64_t)LENGTH * DIM, 3), *out = malloc((uint64_t)LENGTH * DIM * 2);
    const uint64_t bytes = (uint64_t)LENGTH * DIM * 2;
    const dmattn_attention_args args = {
        .q = make(bytes, q), .k = make(bytes, k), .v = make(bytes, v), .out = make(bytes, NULL), .mask = mask};
    run_attention(&d, args);
    ASSERT_OK(dmattn_download(h.device, &args.out, 0, out, bytes));
    const uint32_t sampled[] = {0, 1, 32767, 40001, 65470, 65471, 65535, 65536, 65598, LENGTH - 1};
    for (size_t i = 0; i < sizeof sampled / sizeof *sampled; i++) {
        char name[64];
        snprintf(name, sizeof name, "query %u", sampled[i]);
        fill_mask_row(rows, sampled[i], LENGTH);
        const query_inputs in = {.q = q + (uint64_t)sampled[i] * DIM, .k = k, .v = v, .mask = rows, .keys = LENGTH};
        expect_row(name, &in, out + (uint64_t)sampled[i] * DIM);
    }
    free(rows);
    free(q);
    free(k);
    free(v);
    free(out);
}

/* ---- caches ------------------------------------------------------------------------------------------------------ */

#define KV_HEADS  8
#define CACHE_DIM 128
#define PROMPT    1000
#define ROW       (KV_HEADS * CACHE_DIM) /* elements of a token's k or v, and, as the group is 1, of its q and out */

/* Fills sequence `sequence` with a prompt, decodes a token for it, and compares its row. `table`: of all sequences, or
 * NULL. */
static void run_cache(const char *name, const dmattn_decode_desc *desc, uint32_t sequence, const int32_t *table)
{
    dmattn_decode_desc d;
    dmattn_plan *plan;
    dmattn_plan_info info;
    dmattn_cache_layout layout;
    VkCommandBuffer commands;
    const uint32_t batch = desc->attention.batch;
    ASSERT_OK(dmattn_decode_desc_resolve(desc, &d, NULL));
    ASSERT_OK(dmattn_decode_plan(h.context, desc, &plan));
    ASSERT_OK(dmattn_decode_get_layout(plan, &layout));
    dmattn_plan_get_info(plan, &info);
    cr_assert_gt(desc->cache ? layout.pages_size : layout.state_size, UINT64_C(1) << 32, "%s is too small", name);

    const uint64_t tokens = PROMPT + 1, bytes = (uint64_t)batch * ROW * 2;
    uint16_t *k = random_elements(tokens * ROW, 1), *v = random_elements(tokens * ROW, 2);
    uint16_t *q = random_elements(ROW, 3), *out = malloc(ROW * sizeof *out);
    float *importance = malloc(KV_HEADS * tokens * sizeof *importance),
          *prompt = malloc(KV_HEADS * PROMPT * sizeof *prompt);
    uint64_t seed = 4;
    for (uint64_t i = 0; i < KV_HEADS * tokens; i++)
        importance[i] = (float)random_normal(&seed);
    for (uint64_t head = 0; head < KV_HEADS; head++)
        memcpy(prompt + head * PROMPT, importance + head * tokens, PROMPT * sizeof *prompt);
    int32_t *counts = calloc(batch, sizeof *counts);
    counts[sequence] = 1;

    const dmattn_buffer state = make(layout.state_size, NULL);
    dmattn_decode_args args = {.q = make(bytes, NULL),
                               .k = make(bytes, NULL),
                               .v = make(bytes, NULL),
                               .out = make(bytes, NULL),
                               .importance = make(UINT64_C(4) * batch * KV_HEADS, NULL),
                               .counts = make(4 * (uint64_t)batch, counts),
                               .state = state,
                               .workspace = make(info.workspace_size + 16, NULL)};
    if (desc->cache) {
        args.pages = make(layout.pages_size, NULL);
        args.table = make(UINT64_C(4) * batch * layout.table_pages, table);
    }
    const uint64_t at = (uint64_t)sequence * ROW * 2;
    float last[KV_HEADS];
    for (uint64_t head = 0; head < KV_HEADS; head++)
        last[head] = importance[head * tokens + PROMPT];
    ASSERT_OK(dmattn_upload(h.device, &args.q, at, q, ROW * 2));
    ASSERT_OK(dmattn_upload(h.device, &args.k, at, k + PROMPT * ROW, ROW * 2));
    ASSERT_OK(dmattn_upload(h.device, &args.v, at, v + PROMPT * ROW, ROW * 2));
    ASSERT_OK(dmattn_upload(h.device, &args.importance, (uint64_t)sequence * sizeof last, last, sizeof last));
    /* The headers of other sequences: no tokens. */
    const uint32_t zeros[KV_HEADS * 12] = {0};
    for (uint64_t b = 0; b < batch; b++)
        ASSERT_OK(dmattn_upload(h.device, &state, b * layout.sequence_size, zeros, sizeof zeros));

    const dmattn_decode_fill_args fill = {.sequence = sequence,
                                          .keys = PROMPT,
                                          .k = make(PROMPT * ROW * 2, k),
                                          .v = make(PROMPT * ROW * 2, v),
                                          .importance = make(sizeof *prompt * KV_HEADS * PROMPT, prompt),
                                          .state = state,
                                          .pages = args.pages,
                                          .table = args.table};
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_decode_fill_record(plan, commands, &fill));
    ASSERT_OK(dmattn_commands_submit(h.device));
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_decode_record(plan, commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
    ASSERT_OK(dmattn_download(h.device, &args.out, at, out, ROW * 2));

    const reference_sequence all = {.k = k,
                                    .v = v,
                                    .k_strides = {0, ROW, CACHE_DIM},
                                    .v_strides = {0, ROW, CACHE_DIM},
                                    .importance = importance,
                                    .importance_stride = tokens};
    for (uint32_t head = 0; head < KV_HEADS; head++) {
        double want[CACHE_DIM], lse, largest = 0;
        ASSERT_OK(reference_decode_row(&d, &all, q + head * CACHE_DIM, head, PROMPT, NULL, NULL, want, &lse));
        for (int i = 0; i < CACHE_DIM; i++)
            largest = fmax(largest, fabs(want[i]));
        /* Weights and results are rounded to f16; |v| is below 6. */
        for (int i = 0; i < CACHE_DIM; i++) {
            const double got = element_load(F16, out, head * CACHE_DIM + (uint64_t)i);
            cr_assert(fabs(got - want[i]) <= (largest + 6) * 0x1p-11, "%s: out[%u, %d] is %g instead of %g", name, head,
                      i, got, want[i]);
        }
    }
    dmattn_plan_destroy(plan);
    free(k);
    free(v);
    free(q);
    free(out);
    free(importance);
    free(prompt);
    free(counts);
}

/* The state of the last sequences lies behind 4 GiB. */
DEVICE_TEST(large, bounded_cache)
{
    enum { SEQUENCES = 300 };
    skip_unless_wanted();
    const dmattn_decode_desc desc = {
        .attention = {.type = F16, .batch = SEQUENCES, .queries = 1, .heads = KV_HEADS, .head_dim = CACHE_DIM},
        .importance_given = true,
        .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 4096, .causal = true}};
    run_cache("the states", &desc, SEQUENCES - 1, NULL);
}

/* The pages of the second sequence lie on both sides of 4 GiB, the last ones at the end of the pool. */
DEVICE_TEST(large, paged_cache)
{
    enum { PAGES = 5000, TABLE = 8 };
    skip_unless_wanted();
    const int32_t table[2 * TABLE] = {0, 1, 2, 3, 4, 5, 6, 7, PAGES - 1, 4095, 4200, 4096, PAGES - 2, 4100, 4050, 4001};
    const dmattn_decode_desc desc = {
        .attention = {.type = F16, .batch = 2, .queries = 1, .heads = KV_HEADS, .head_dim = CACHE_DIM},
        .importance_given = true,
        .selection = {.causal = true},
        .cache = DMATTN_CACHE_PAGED,
        .page_size = 256,
        .pages = PAGES,
        .max_keys = 256 * TABLE};
    run_cache("the pool", &desc, 1, table);
}
