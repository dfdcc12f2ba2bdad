/* SPDX-License-Identifier: MIT
 * A tensor of a problem on a device. */
#ifndef DMATTN_TOOLS_DEVICE_TENSOR_H
#define DMATTN_TOOLS_DEVICE_TENSOR_H

#include "problem.h"

/* Makes a buffer with `data` in it; without, it holds NaN in every type, which shows what was not written. */
dmattn_status device_tensor_create(dmattn_device *device, uint64_t size, const void *data, dmattn_buffer *buffer);

/* Downloads a tensor that has a box, contiguous. */
dmattn_status device_tensor_download(dmattn_device *device, const dmattn_buffer *buffer, const problem *p, tensor_id t,
                                     float *to);

#endif
