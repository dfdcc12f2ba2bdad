/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: sparse attention as Vulkan compute kernels. The embedding layer.
 *
 * The app brings its own VkInstance, VkDevice, command buffers and memory; dmattn records commands.
 *
 *     describe   fill a descriptor: shapes, types, what may be seen
 *     plan       dmattn_*_plan() checks it, chooses kernels and builds their pipelines (may be slow)
 *     record     dmattn_*_record() writes the commands into the app's command buffer (fast)
 *
 * Three operators are planned and recorded so:
 *
 *     attention  out of q, k, v and a mask that the app has
 *     mask       out of v (or of importance that the app has) which keys each query sees: a dynamic mask
 *     dma        both, dynamic mask attention, in one
 *
 * and the gradients of attention and of dma: attention_backward, dma_backward; and decode, dma for a few new tokens of
 * each sequence against a cache.
 *
 * Apps include this header, which includes one for each topic:
 *
 *     core.h       what every operator needs: version, status and messages, levels, what to enable on a device,
 *                  context, tensors, plans
 *     attention.h  attention and its gradients
 *     mask.h       dynamic masks: importance, intervals, tile lists
 *     dma.h        dynamic mask attention and its gradients
 *     decode.h     decoding and its cache
 *
 * Rules that hold for every function of these:
 *
 * - Handles are opaque. Vulkan handles given to dmattn are borrowed and must outlive what was made with them. dmattn
 *   owns pipelines, pipeline layouts and host memory, nothing else: it allocates no device memory, submits nothing,
 *   waits for nothing, starts no thread, reads no file and no environment variable, prints nothing and has no global
 *   state.
 * - Descriptors: zero means default. Initialise with { 0 } and set what matters. They are copied.
 * - Errors: every fallible call returns a dmattn_status. On failure the out-pointer is set to NULL, nothing is
 *   leaked or half done, and one sentence that names the argument and the limit goes to the context's message
 *   callback.
 * - Threads: contexts and plans are immutable once made. Any number of threads may plan from one context and record
 *   from one plan at once. As in Vulkan, a command buffer belongs to one thread at a time, and destroying an object
 *   must not race with its use.
 */
#ifndef DMATTN_DMATTN_H
#define DMATTN_DMATTN_H

#include "attention.h"
#include "core.h"
#include "decode.h"
#include "dma.h"
#include "mask.h"

#endif /* DMATTN_DMATTN_H */
