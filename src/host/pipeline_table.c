/* SPDX-License-Identifier: MIT */
#include "pipeline_table.h"

#include "lock.h"
#include "memory.h"

#include <stdint.h>
#include <string.h>

#define LISTS 256 /* by hash, so that a search looks at few pipelines */

struct table_pipeline {
    table_pipeline *next;
    uint64_t hash;
    uint64_t users;
    VkPipeline pipeline; /* VK_NULL_HANDLE while a thread makes it */
    size_t size;
    unsigned char key[];
};

struct pipeline_table {
    const VkAllocationCallbacks *allocator;
    bool keep;
    lock *lock; /* protects everything below, and the pipelines */
    table_pipeline *list[LISTS];
};

pipeline_table *dmattn_pipeline_table_create(const VkAllocationCallbacks *allocator)
{
    pipeline_table *t = dmattn_host_allocate(allocator, sizeof *t);
    if (!t)
        return NULL;
    t->allocator = allocator;
    t->lock = dmattn_lock_create(allocator);
    if (t->lock)
        return t;
    dmattn_host_free(allocator, t);
    return NULL;
}

void dmattn_pipeline_table_keep(pipeline_table *t)
{
    t->keep = true;
}

void dmattn_pipeline_table_destroy(pipeline_table *t)
{
    if (!t)
        return;
    dmattn_lock_destroy(t->allocator, t->lock);
    dmattn_host_free(t->allocator, t);
}

static uint64_t hash_of(const unsigned char *key, size_t size)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ key[i]) * UINT64_C(1099511628211);
    return hash;
}

/* The place in its list of the pipeline with this key, or the list's end. */
static table_pipeline **find(pipeline_table *t, uint64_t hash, const void *key, size_t size)
{
    table_pipeline **at = &t->list[hash % LISTS];
    while (*at && ((*at)->hash != hash || (*at)->size != size || memcmp((*at)->key, key, size) != 0))
        at = &(*at)->next;
    return at;
}

static void remove_and_free(pipeline_table *t, table_pipeline *p)
{
    table_pipeline **at = &t->list[p->hash % LISTS];
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    dmattn_host_free(t->allocator, p);
}

static table_pipeline *add(pipeline_table *t, table_pipeline **at, uint64_t hash, const void *key, size_t size)
{
    table_pipeline *p = dmattn_host_allocate(t->allocator, sizeof *p + size);
    if (!p)
        return NULL;
    p->hash = hash;
    p->size = size;
    memcpy(p->key, key, size);
    *at = p;
    return p;
}

table_pipeline *dmattn_pipeline_table_use(pipeline_table *t, const void *key, size_t size, bool *make)
{
    const uint64_t hash = hash_of(key, size);
    table_pipeline **at, *p;
    dmattn_lock_take(t->lock);
    while (at = find(t, hash, key, size), *at && !(*at)->pipeline)
        dmattn_lock_wait(t->lock);
    *make = !*at;
    p = *at ? *at : add(t, at, hash, key, size);
    if (p)
        p->users++;
    dmattn_lock_give(t->lock);
    return p;
}

void dmattn_pipeline_table_made(pipeline_table *t, table_pipeline *p, VkPipeline pipeline)
{
    dmattn_lock_take(t->lock);
    p->pipeline = pipeline;
    if (!pipeline)
        remove_and_free(t, p);
    dmattn_lock_report(t->lock);
    dmattn_lock_give(t->lock);
}

/* Without the lock: while it has users, a pipeline does not change. */
VkPipeline dmattn_pipeline_table_get(const table_pipeline *p)
{
    return p->pipeline;
}

VkPipeline dmattn_pipeline_table_leave(pipeline_table *t, table_pipeline *p)
{
    VkPipeline last = VK_NULL_HANDLE;
    dmattn_lock_take(t->lock);
    if (!--p->users && !t->keep) {
        last = p->pipeline;
        remove_and_free(t, p);
    }
    dmattn_lock_give(t->lock);
    return last;
}

VkPipeline dmattn_pipeline_table_take(pipeline_table *t)
{
    VkPipeline taken = VK_NULL_HANDLE;
    dmattn_lock_take(t->lock);
    for (int i = 0; i < LISTS && !taken; i++)
        for (table_pipeline *p = t->list[i]; p; p = p->next)
            if (!p->users) {
                taken = p->pipeline;
                remove_and_free(t, p);
                break;
            }
    dmattn_lock_give(t->lock);
    return taken;
}
