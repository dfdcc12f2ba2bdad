/* SPDX-License-Identifier: MIT */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

#define GUARD     65536 /* bytes before, between and after tensors; a multiple of ALIGNMENT */
#define ALIGNMENT 256
#define PATTERN   0xa5

void arena_create(arena *a, dmattn_plan *plan, void *args, uint64_t list_bytes)
{
    const operator_type *type = plan->type;
    uint64_t size = GUARD;
    *a = (arena){.type = type, .plan = plan, .args = args};
    for (int t = 0; t <= TENSOR_COUNT; t++) {
        const bool exists = t == TENSOR_COUNT || dmattn_operator_buffer(type, args, (tensor_id)t);
        a->bytes[t] = !exists ? 0 : t == TENSOR_COUNT ? plan->workspace_size : plan->tensor[t].bytes;
        if (t == TENSOR_LISTS && a->bytes[t] && list_bytes)
            a->bytes[t] = list_bytes;
        a->at[t] = size;
        if (a->bytes[t])
            size += (a->bytes[t] + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + GUARD;
    }
    a->result[TENSOR_COUNT] = true;
    ASSERT_OK(dmattn_buffer_create(h.device, size, &a->buffer));
    a->before = malloc(size);
    a->after = malloc(size);
    memset(a->before, PATTERN, size);
    for (int t = 0; t <= TENSOR_COUNT; t++)
        if (a->bytes[t])
            *(t == TENSOR_COUNT ? (dmattn_buffer *)((char *)args + type->workspace)
                                : dmattn_operator_buffer(type, args, (tensor_id)t)) =
                (dmattn_buffer){a->buffer.buffer, a->buffer.offset + a->at[t], a->bytes[t]};
}

void arena_destroy(arena *a)
{
    dmattn_buffer_destroy(h.device, &a->buffer);
    dmattn_plan_destroy(a->plan);
    free(a->before);
    free(a->after);
}

void *arena_input(const arena *a, tensor_id tensor)
{
    return a->bytes[tensor] ? a->before + a->at[tensor] : NULL;
}

const void *arena_output(const arena *a, tensor_id tensor)
{
    return a->bytes[tensor] ? a->after + a->at[tensor] : NULL;
}

static const char *name_of(int tensor)
{
    return tensor < TENSOR_COUNT ? dmattn_tensor_name((tensor_id)tensor) : "the workspace";
}

/* Expects that bytes first to end - 1, from tensor `t` to the next one, did not change, except for results. */
static void check_part(const arena *a, int t, uint64_t first, uint64_t end, const char *what)
{
    const uint64_t start = t >= 0 && a->result[t] ? a->at[t] + a->bytes[t] : first;
    for (uint64_t i = start; memcmp(a->after + start, a->before + start, end - start) && i < end; i++)
        cr_assert_eq(a->after[i], a->before[i], "%s: byte %lld of %s, which has %llu, was written", what,
                     t < 0 ? (long long)i : (long long)(i - a->at[t]), t < 0 ? "the buffer" : name_of(t),
                     t < 0 ? 0 : (unsigned long long)a->bytes[t]);
}

VkCommandBuffer arena_begin(const arena *a)
{
    VkCommandBuffer commands;
    ASSERT_OK(dmattn_upload(h.device, &a->buffer, 0, a->before, a->buffer.size));
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    return commands;
}

void arena_end(arena *a, const char *what)
{
    cr_assert_eq(dmattn_commands_submit(h.device), DMATTN_SUCCESS, "%s: %s", what, h.sentence);
    ASSERT_OK(dmattn_download(h.device, &a->buffer, 0, a->after, a->buffer.size));
    uint64_t first = 0;
    int last = -1;
    for (int t = 0; t <= TENSOR_COUNT; t++)
        if (a->bytes[t]) {
            check_part(a, last, first, a->at[t], what);
            first = a->at[t];
            last = t;
        }
    check_part(a, last, first, a->buffer.size, what);
}

void arena_run(arena *a, uint32_t reuse, const char *what)
{
    const VkCommandBuffer commands = arena_begin(a);
    ASSERT_OK(dmattn_plan_record(a->plan, a->type, commands, a->args, reuse));
    arena_end(a, what);
}
