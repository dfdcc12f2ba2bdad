/* SPDX-License-Identifier: MIT */
#include "data.h"

#include <stdlib.h>
#include <string.h>

bool table_create(table *t, size_t entries)
{
    uint32_t size = 16;
    while (size < 2 * entries)
        size *= 2;
    t->entries = calloc(size, sizeof *t->entries);
    t->mask = size - 1;
    return t->entries != NULL;
}

static uint32_t hash(const void *data, size_t length) /* FNV-1a */
{
    uint32_t h = 2166136261u;
    for (const unsigned char *c = data, *end = c + length; c < end; c++)
        h = (h ^ *c) * 16777619u;
    return h ^ h >> 15;
}

uint32_t *place_of_bytes(const tokenizer *t, const char *data, size_t length)
{
    uint32_t i = hash(data, length) & t->by_bytes.mask;
    for (; t->by_bytes.entries[i]; i = (i + 1) & t->by_bytes.mask) {
        const stored_token *b = &t->tokens[t->by_bytes.entries[i] - 1];
        if (b->length == length && !memcmp(b->data, data, length))
            break;
    }
    return &t->by_bytes.entries[i];
}

uint32_t find_token(const tokenizer *t, const char *data, size_t length)
{
    return *place_of_bytes(t, data, length) - 1; /* 0 - 1 is NONE */
}

uint32_t *place_of_pair(const tokenizer *t, uint32_t left, uint32_t right)
{
    const uint32_t pair[2] = {left, right};
    uint32_t i = hash(pair, sizeof pair) & t->by_pair.mask;
    for (; t->by_pair.entries[i]; i = (i + 1) & t->by_pair.mask) {
        const merge *m = &t->merges[t->by_pair.entries[i] - 1];
        if (m->left == left && m->right == right)
            break;
    }
    return &t->by_pair.entries[i];
}
