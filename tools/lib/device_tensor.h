/* SPDX-License-Identifier: MIT
 * Creates and downloads the tensors of a problem on a device. */
#ifndef DMATTN_TOOLS_DEVICE_TENSOR_H
#define DMATTN_TOOLS_DEVICE_TENSOR_H

#include "problem.h"

/* Makes a buffer that contains `data`. If `data` is NULL, it contains NaN in every type, so that elements that are
 * never written show. */
dmattn_status device_tensor_create(dmattn_device *device, uint64_t size, const void *data, dmattn_buffer *buffer);

/* Downloads a tensor for which problem_box() is defined, as contiguous f32. */
dmattn_status device_tensor_download(dmattn_device *device, const dmattn_buffer *buffer, const problem *p, tensor_id t,
                                     float *to);

#endif
