/* SPDX-License-Identifier: MIT */
#include "mask_run.h"

#include <stdlib.h>
#include <string.h>

#define GUARD   256
#define PATTERN 0xa5

static dmattn_buffer *range_of(mask_run *r, int tensor)
{
    dmattn_mask_args *a = &r->args;
    dmattn_buffer *const ranges[TENSOR_COUNT + 1] = {
        [TENSOR_V] = &a->v,
        [TENSOR_DT_WEIGHT] = &a->dt_weight,
        [TENSOR_A] = &a->a,
        [TENSOR_DT_BIAS] = &a->dt_bias,
        [TENSOR_KEY_VALID] = &a->key_valid,
        [TENSOR_QUERY_OFFSETS] = &a->query_offsets,
        [TENSOR_KEY_OFFSETS] = &a->key_offsets,
        [TENSOR_IMPORTANCE] = &a->importance,
        [TENSOR_BEGIN] = &a->begin,
        [TENSOR_END] = &a->end,
        [TENSOR_LISTS] = &a->lists,
        [TENSOR_COUNT] = &a->workspace,
    };
    return ranges[tensor];
}

uint64_t mask_run_bytes(const mask_run *r, tensor_id tensor)
{
    return tensor == TENSOR_COUNT   ? r->info.workspace_size
           : tensor == TENSOR_LISTS ? r->info.lists_size
                                    : dmattn_mask_tensor_bytes(&r->desc, tensor);
}

void mask_run_create(mask_run *r, const dmattn_mask_desc *desc, const void *const inputs[TENSOR_COUNT])
{
    *r = (mask_run){0};
    ASSERT_OK(dmattn_mask_desc_resolve(desc, &r->desc, NULL));
    ASSERT_OK(dmattn_mask_plan(h.context, desc, &r->plan));
    dmattn_plan_get_info(r->plan, &r->info);
    for (int t = 0; t <= TENSOR_COUNT; t++) {
        const uint64_t bytes = mask_run_bytes(r, (tensor_id)t);
        if (!bytes)
            continue;
        unsigned char *image = malloc(bytes + GUARD);
        memset(image, PATTERN, bytes + GUARD);
        if (t < TENSOR_COUNT && inputs[t])
            memcpy(image, inputs[t], bytes);
        ASSERT_OK(dmattn_buffer_create(h.device, bytes + GUARD, &r->whole[t]));
        ASSERT_OK(dmattn_upload(h.device, &r->whole[t], 0, image, bytes + GUARD));
        *range_of(r, t) = (dmattn_buffer){r->whole[t].buffer, 0, bytes};
        free(image);
    }
}

void mask_run_destroy(mask_run *r)
{
    for (int t = 0; t <= TENSOR_COUNT; t++)
        dmattn_buffer_destroy(h.device, &r->whole[t]);
    dmattn_plan_destroy(r->plan);
}

void mask_run_go(mask_run *r)
{
    VkCommandBuffer commands;
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_mask_record(r->plan, commands, &r->args));
    ASSERT_OK(dmattn_commands_submit(h.device));
}

void *mask_run_get(const mask_run *r, tensor_id tensor)
{
    const uint64_t bytes = mask_run_bytes(r, tensor);
    if (!bytes)
        return NULL;
    unsigned char *data = malloc(bytes + GUARD);
    ASSERT_OK(dmattn_download(h.device, &r->whole[tensor], 0, data, bytes + GUARD));
    for (int i = 0; i < GUARD; i++)
        cr_assert_eq(data[bytes + i], PATTERN, "byte %d after %s was written", i,
                     tensor < TENSOR_COUNT ? dmattn_tensor_name(tensor) : "the workspace");
    return data;
}
