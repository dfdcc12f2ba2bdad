/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: sparse attention as Vulkan compute kernels. The embedding layer, for apps with their own Vulkan device.
 *
 * The app provides the VkInstance, the VkDevice, command buffers and memory; dmattn records commands. An operator is
 * used in three steps:
 *
 *     describe   fill in a descriptor: shapes, types, options
 *     plan       dmattn_*_plan() checks it, chooses kernels and compiles pipelines (may take seconds)
 *     record     dmattn_*_record() writes commands into the app's command buffer (microseconds)
 *
 * The operators:
 *
 *     attention            out from q, k, v and a mask that the app provides
 *     attention_backward   the gradients of attention
 *     mask                 from v (or from an importance): which keys each query sees, a dynamic mask
 *     dma                  dynamic mask attention: mask and attention in one plan
 *     dma_backward         the gradients of dma
 *     decode               dma for a few new tokens of each sequence, with a cache of keys and values
 *     merge                one result of attention from two results for different keys
 *     block_lists          lists of selected keys of each query, from block-sparse rows or maps
 *     selector             lists of the best keys or blocks of keys of each query, by scores
 *
 * Apps include this header, which includes one header per topic:
 *
 *     core.h       version, status, messages, levels, device features, contexts, tensors, plans
 *     attention.h  attention and its gradients
 *     mask.h       dynamic masks: importance, intervals, tile lists
 *     dma.h        dynamic mask attention and its gradients
 *     decode.h     decoding and its cache
 *     merge.h      merging two results
 *     block_lists.h  lists from block-sparse forms
 *     selector.h   selectors: an indexer, pooled blocks
 *
 * Names of sizes in these headers: B batch items; Sq queries and Sk keys per batch item; H query heads; Hk key and
 * value heads (H is a multiple of Hk); D the dimension of q and k; Dv the dimension of v and out.
 *
 * Rules for all functions:
 *
 * - Ownership: handles are opaque. Vulkan handles that are passed to dmattn are borrowed and must outlive all objects
 *   created from them. dmattn owns only shader modules, pipelines, pipeline layouts, a pipeline cache if the app gives
 *   none, and host memory. It allocates no device memory, submits nothing, waits for no device, starts no thread,
 *   reads no file and no environment variable, prints nothing and has no global state.
 * - Descriptors: a member that is zero has its default value. Initialise a descriptor with { 0 } and set what you need.
 *   Descriptors and argument structs are copied and may be freed after the call.
 * - Sizes: batch, heads, queries and keys are each below 2^30. A tensor may span more than 4 GiB. Up to
 *   2^25 batch items, and up to 2^25 heads of all batch items together, are allowed on every device, even if it allows
 *   fewer workgroups in a dimension.
 * - Contents of buffers: no number in a buffer makes a kernel access memory outside of its tensors and the workspace.
 *   Intervals, document offsets, counts, lengths, page numbers and tile lists may hold anything: a value that is out of
 *   range is clamped (docs/embedding.md has a table). The results of its batch item may have no meaning then. Those
 *   of other items are right, unless they share a list or a page with it, or are packed behind it.
 * - Aliasing: inputs of a run may overlap each other. Its results and its workspace may overlap nothing else that the
 *   run accesses.
 * - Errors: every function that can fail returns a dmattn_status. On failure the output pointer is set to NULL, nothing
 *   is leaked and nothing is half done. The context's message callback receives one sentence that names the argument
 * and the limit; if the context or plan itself is NULL there is no callback, only the status.
 * - Threads: any number of threads may plan from one context, also to compile in parallel, and record from one plan at
 *   the same time. A thread that needs a pipeline which another one is compiling waits for it. Plans are immutable. As
 *   in Vulkan, only one thread may use a command buffer at a time, and an object must not be destroyed while it is in
 *   use.
 */
#ifndef DMATTN_DMATTN_H
#define DMATTN_DMATTN_H

#include "attention.h"
#include "block_lists.h"
#include "core.h"
#include "decode.h"
#include "dma.h"
#include "mask.h"
#include "merge.h"
#include "selector.h"

#endif /* DMATTN_DMATTN_H */
