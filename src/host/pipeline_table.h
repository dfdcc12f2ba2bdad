/* SPDX-License-Identifier: MIT
 * The pipelines of a context, so that plans with equal kernels share them. The key of a pipeline is a block of bytes.
 * The table calls no Vulkan function: its user makes and destroys the pipelines. Any number of threads may use it. */
#ifndef DMATTN_HOST_PIPELINE_TABLE_H
#define DMATTN_HOST_PIPELINE_TABLE_H

#include <vulkan/vulkan_core.h>

#include <stdbool.h>
#include <stddef.h>

typedef struct pipeline_table pipeline_table;
typedef struct table_pipeline table_pipeline; /* a pipeline of the table */

/* Returns NULL if there is no memory. */
pipeline_table *dmattn_pipeline_table_create(const VkAllocationCallbacks *allocator);

/* Pipelines without users stay from now on. Call it before other threads use the table. */
void dmattn_pipeline_table_keep(pipeline_table *table);

/* The table must be empty: dmattn_pipeline_table_take(). NULL is ignored. */
void dmattn_pipeline_table_destroy(pipeline_table *table);

/* Adds a user to the pipeline with this key, and waits while another thread makes it. If there is none, *make is true:
 * the caller must make it, and then call dmattn_pipeline_table_made(). Returns NULL if there is no memory. */
table_pipeline *dmattn_pipeline_table_use(pipeline_table *table, const void *key, size_t size, bool *make);

/* VK_NULL_HANDLE: it could not be made. `p` is then invalid, and one of the threads that wait for it makes it. */
void dmattn_pipeline_table_made(pipeline_table *table, table_pipeline *p, VkPipeline pipeline);

VkPipeline dmattn_pipeline_table_get(const table_pipeline *p);

/* Removes a user. Returns the pipeline if it was the last one and the pipeline does not stay; destroy it then. */
VkPipeline dmattn_pipeline_table_leave(pipeline_table *table, table_pipeline *p);

/* Removes one of the pipelines without users and returns it, for destruction; VK_NULL_HANDLE if there is none. */
VkPipeline dmattn_pipeline_table_take(pipeline_table *table);

#endif
