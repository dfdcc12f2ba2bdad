/* SPDX-License-Identifier: MIT */
#include "arena.h"

#include <stdlib.h>
#include <string.h>

#define GUARD   65536 /* bytes before and behind a tensor */
#define PATTERN 0xa5

static uint64_t guard_bytes(void)
{
    return h.gpu_validation ? 0 : GUARD;
}

/* Where the buffer of a tensor begins in `before` and `after`. */
static uint64_t buffer_at(const arena *a, int t)
{
    return a->at[t] - guard_bytes();
}

void arena_create(arena *a, dmattn_plan *plan, void *args, uint64_t list_bytes)
{
    const operator_type *type = plan->type;
    *a = (arena){.type = type, .plan = plan, .args = args};
    for (int t = 0; t <= TENSOR_COUNT; t++) {
        dmattn_buffer *arg = t == TENSOR_COUNT ? (dmattn_buffer *)((char *)args + type->workspace)
                                               : dmattn_operator_buffer(type, args, (tensor_id)t);
        a->bytes[t] = !arg ? 0 : t == TENSOR_COUNT ? plan->workspace_size : plan->tensor[t].bytes;
        if (t == TENSOR_LISTS && a->bytes[t] && list_bytes)
            a->bytes[t] = list_bytes;
        if (!a->bytes[t])
            continue;
        const uint64_t words = (a->bytes[t] + 3) / 4;
        ASSERT_OK(dmattn_buffer_create(h.device, 4 * words + 2 * guard_bytes(), &a->buffer[t]));
        *arg = (dmattn_buffer){a->buffer[t].buffer, guard_bytes(), a->bytes[t]};
        a->at[t] = a->size + guard_bytes();
        a->size += a->buffer[t].size;
    }
    a->result[TENSOR_COUNT] = true;
    a->before = malloc(a->size);
    a->after = malloc(a->size);
    memset(a->before, PATTERN, a->size);
}

void arena_destroy(arena *a)
{
    for (int t = 0; t <= TENSOR_COUNT; t++)
        dmattn_buffer_destroy(h.device, &a->buffer[t]);
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

/* Expects that the bytes from `first` on, to the one before `end`, did not change. */
static void check_part(const arena *a, int t, uint64_t first, uint64_t end, const char *what)
{
    if (!memcmp(a->after + first, a->before + first, end - first))
        return;
    while (a->after[first] == a->before[first])
        first++;
    cr_assert(false, "%s: byte %lld of %s, which has %llu, was written", what, (long long)(first - a->at[t]),
              name_of(t), (unsigned long long)a->bytes[t]);
}

/* Expects that a tensor's buffer did not change, except for a result. */
static void check_buffer(const arena *a, int t, const char *what)
{
    const uint64_t first = buffer_at(a, t), end = first + a->buffer[t].size;
    if (!a->result[t])
        check_part(a, t, first, end, what);
    else {
        check_part(a, t, first, a->at[t], what);
        check_part(a, t, a->at[t] + a->bytes[t], end, what);
    }
}

VkCommandBuffer arena_begin(const arena *a)
{
    VkCommandBuffer commands;
    for (int t = 0; t <= TENSOR_COUNT; t++)
        if (a->bytes[t])
            ASSERT_OK(dmattn_upload(h.device, &a->buffer[t], 0, a->before + buffer_at(a, t), a->buffer[t].size));
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    return commands;
}

void arena_end(arena *a, const char *what)
{
    cr_assert_eq(dmattn_commands_submit(h.device), DMATTN_SUCCESS, "%s: %s", what, h.sentence);
    for (int t = 0; t <= TENSOR_COUNT; t++)
        if (a->bytes[t]) {
            ASSERT_OK(dmattn_download(h.device, &a->buffer[t], 0, a->after + buffer_at(a, t), a->buffer[t].size));
            check_buffer(a, t, what);
        }
}

void arena_run(arena *a, uint32_t reuse, const char *what)
{
    const VkCommandBuffer commands = arena_begin(a);
    ASSERT_OK(dmattn_plan_record(a->plan, a->type, commands, a->args, reuse));
    arena_end(a, what);
}
