/* SPDX-License-Identifier: MIT
 * The order of keys by their visible ranges. It contains every key once, keys that no query sees come last, and tiles
 * of it visit few pairs that are not visible. */
#include "backward/key_order.h"
#include "operators/operators.h"
#include "problem.h"
#include "support/harness.h"

#include "../../shaders/lib/attention.h"

#include <stdlib.h>
#include <string.h>

typedef struct order_run {
    key_order_desc desc;
    int32_t *begin, *end; /* [planes, keys] */
    uint32_t *order;      /* pairs [planes, padded]; the second number is the key */
    uint32_t planes, padded;
} order_run;

static VkDeviceAddress address(const dmattn_buffer *buffer)
{
    const VkBufferDeviceAddressInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                            .buffer = buffer->buffer};
    return h.context->vk.GetBufferDeviceAddress(h.context->device, &info);
}

static order_run create(uint32_t batch, uint32_t heads, uint32_t queries, uint32_t keys, bool causal)
{
    const uint32_t padded = dmattn_ceil_div(keys, KEY_ORDER_BLOCK) * KEY_ORDER_BLOCK, planes = batch * heads;
    const uint64_t plane = 4 * (uint64_t)keys;
    return (order_run){
        .desc = {.batch = batch,
                 .heads = heads,
                 .queries = queries,
                 .keys = keys,
                 .batch_stride = plane * heads,
                 .head_stride = plane,
                 .causal = causal},
        .begin = calloc(planes, plane),
        .end = calloc(planes, plane),
        .order = calloc(planes, 8 * (uint64_t)padded),
        .planes = planes,
        .padded = padded,
    };
}

static void destroy(order_run *r)
{
    free(r->begin);
    free(r->end);
    free(r->order);
}

static void go(order_run *r)
{
    const uint64_t bytes = 4 * (uint64_t)r->planes * r->desc.keys;
    pipeline_set pipelines = {.ctx = h.context, .builds = true};
    key_order order = {0};
    dmattn_buffer begin, end, scratch;
    ASSERT_OK(dmattn_key_order_plan(&order, &pipelines, &r->desc));
    const uint64_t scratch_bytes = dmattn_key_order_scratch_bytes(&order);
    ASSERT_OK(dmattn_buffer_create(h.device, bytes, &begin));
    ASSERT_OK(dmattn_buffer_create(h.device, bytes, &end));
    ASSERT_OK(dmattn_buffer_create(h.device, scratch_bytes, &scratch));
    ASSERT_OK(dmattn_upload(h.device, &begin, 0, r->begin, bytes));
    ASSERT_OK(dmattn_upload(h.device, &end, 0, r->end, bytes));

    recorder rec = {.ctx = h.context};
    rec.tensor[TENSOR_BEGIN] = address(&begin);
    rec.tensor[TENSOR_END] = address(&end);
    rec.workspace = address(&scratch);
    ASSERT_OK(dmattn_commands_begin(h.device, &rec.commands));
    const VkDeviceAddress at = rec.workspace + dmattn_key_order_record(&order, &rec);
    ASSERT_OK(dmattn_commands_submit(h.device));
    const uint64_t order_bytes = 8 * (uint64_t)r->planes * r->padded;
    cr_assert(at >= address(&scratch) && at + order_bytes <= address(&scratch) + scratch_bytes);
    ASSERT_OK(dmattn_download(h.device, &scratch, at - address(&scratch), r->order, order_bytes));

    dmattn_buffer *const buffers[] = {&begin, &end, &scratch};
    for (int i = 0; i < 3; i++)
        dmattn_buffer_destroy(h.device, buffers[i]);
    dmattn_pipelines_release(&pipelines);
}

/* The queries from *begin to *end - 1 see the key. Returns false if no query does. */
static bool life(const order_run *r, uint32_t plane, uint32_t key, int64_t *begin, int64_t *end)
{
    const key_order_desc *d = &r->desc;
    const int64_t position = (int64_t)key + d->queries - d->keys;
    *begin = r->begin[(uint64_t)plane * d->keys + key];
    *end = r->end[(uint64_t)plane * d->keys + key];
    *begin = *begin < 0 ? 0 : *begin;
    *begin = d->causal && *begin < position ? position : *begin;
    *end = *end > d->queries ? d->queries : *end;
    return *begin < *end;
}

/* Expects each key once, and visible keys before all others. */
static void expect_complete(const order_run *r)
{
    bool *met = malloc(r->padded);
    for (uint32_t plane = 0; plane < r->planes; plane++) {
        const uint32_t *order = r->order + 2 * (uint64_t)plane * r->padded;
        bool all_seen = true;
        int64_t begin, end;
        memset(met, 0, r->padded);
        for (uint32_t i = 0; i < r->padded; i++) {
            const uint32_t key = order[2 * i + 1];
            cr_assert(key < r->padded && !met[key], "place %u of plane %u: key %u", i, plane, key);
            met[key] = true;
            const bool seen = key < r->desc.keys && life(r, plane, key, &begin, &end);
            cr_assert(!seen || all_seen, "place %u of plane %u: key %u is visible, but a key before it is not", i,
                      plane, key);
            all_seen = seen;
        }
    }
    free(met);
}

/* The number of visited pairs per visible pair, for tiles of this size. */
static double waste(const order_run *r, uint32_t tile_keys, uint32_t tile_queries)
{
    double visited = 0, visible = 0;
    for (uint32_t plane = 0; plane < r->planes; plane++)
        for (uint32_t first = 0; first < r->padded; first += tile_keys) {
            int64_t from = r->desc.queries, to = 0, begin, end;
            for (uint32_t i = first; i < first + tile_keys && i < r->padded; i++) {
                const uint32_t key = r->order[2 * ((uint64_t)plane * r->padded + i) + 1];
                if (key >= r->desc.keys || !life(r, plane, key, &begin, &end))
                    continue;
                visible += (double)(end - begin);
                from = begin < from ? begin : from;
                to = end > to ? end : to;
            }
            if (from < to) {
                from = from / tile_queries * tile_queries;
                to = (to + tile_queries - 1) / tile_queries * tile_queries;
                visited += (double)(to - from) * tile_keys;
            }
        }
    return visited / visible;
}

/* Makes intervals of a causal selection of the `window` most important keys, with random importance. A heap holds the
 * selected keys, with the least important one at its top. */
static void select_randomly(order_run *r, uint32_t window, uint64_t seed)
{
    typedef struct kept {
        double importance;
        uint32_t key;
    } kept;
    const uint32_t n = r->desc.keys;
    kept *heap = malloc(window * sizeof *heap);
    uint32_t count = 0;
    for (uint32_t j = 0; j < n; j++) {
        const kept now = {random_uniform(&seed), j};
        r->begin[j] = (int32_t)j;
        r->end[j] = (int32_t)n;
        if (count == window && now.importance <= heap[0].importance) {
            r->begin[j] = r->end[j] = 0;
            continue;
        }
        uint32_t at = count;
        if (count == window) {
            r->end[heap[0].key] = (int32_t)j;
            for (at = 0; 2 * at + 1 < count;) { /* moves the hole down */
                uint32_t least = 2 * at + 1;
                if (least + 1 < count && heap[least + 1].importance < heap[least].importance)
                    least++;
                if (now.importance <= heap[least].importance)
                    break;
                heap[at] = heap[least];
                at = least;
            }
        } else
            for (count++; at && now.importance < heap[(at - 1) / 2].importance;
                 at = (at - 1) / 2) /* moves the hole up */
                heap[at] = heap[(at - 1) / 2];
        heap[at] = now;
    }
    free(heap);
}

DEVICE_TEST(key_order, is_complete)
{
    static const struct {
        uint32_t batch, heads, queries, keys;
        bool causal;
    } rows[] = {{1, 1, 1, 1, false}, {2, 3, 100, 70, true}, {1, 2, 70, 3000, true}, {3, 1, 100000, 1025, false}};
    uint64_t state = 1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        order_run r = create(rows[i].batch, rows[i].heads, rows[i].queries, rows[i].keys, rows[i].causal);
        for (uint64_t k = 0; k < (uint64_t)r.planes * r.desc.keys;
             k++) { /* some are empty, some begin before 0 or end after the last query */
            r.begin[k] = (int32_t)(random_bits(&state) % (r.desc.queries + 2)) - 1;
            r.end[k] = (int32_t)(random_bits(&state) % (r.desc.queries + 2));
        }
        go(&r);
        expect_complete(&r);
        destroy(&r);
    }
}

/* The table in docs/architecture.md. */
DEVICE_TEST(key_order, wastes_little)
{
    static const struct {
        uint32_t n, window;
        double of_64, of_32, of_16; /* the maximum for tiles of 64, 32 and 16 keys */
    } rows[] = {{16384, 1024, 1.42, 1.27, 1.2}, {32768, 1024, 1.38, 1.26, 1.18}, {32768, 2048, 1.27, 1.19, 1.13}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        order_run r = create(1, 1, rows[i].n, rows[i].n, true);
        select_randomly(&r, rows[i].window, 1);
        go(&r);
        expect_complete(&r);
        cr_log_info("N %u, w %u: %.3f in tiles of 64 keys, %.3f of 32, %.3f of 16", rows[i].n, rows[i].window,
                    waste(&r, 64, 16), waste(&r, 32, 16), waste(&r, 16, 16));
        cr_expect_lt(waste(&r, 64, 16), rows[i].of_64, "%g", waste(&r, 64, 16));
        cr_expect_lt(waste(&r, 32, 16), rows[i].of_32, "%g", waste(&r, 32, 16));
        cr_expect_lt(waste(&r, 16, 16), rows[i].of_16, "%g", waste(&r, 16, 16));
        destroy(&r);
    }
}

/* If all visible ranges are equally long and begin at the key's own position, the order is the order of keys. */
DEVICE_TEST(key_order, of_a_sliding_window)
{
    order_run r = create(1, 1, 8192, 8192, true);
    for (int32_t j = 0; j < 8192; j++) {
        r.begin[j] = j;
        r.end[j] = j + 512;
    }
    go(&r);
    expect_complete(&r);
    cr_expect_lt(waste(&r, 64, 16), 1.2, "%g", waste(&r, 64, 16)); /* 512 + 63 queries, and halves of tiles */
    destroy(&r);
}
