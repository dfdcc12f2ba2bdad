/* SPDX-License-Identifier: MIT */
#include "device_tensor.h"

#include "reference/element.h"

#include <stdlib.h>
#include <string.h>

/* Uploads NaN in chunks, so that host memory need not hold a whole output. */
#define POISON_CHUNK (UINT64_C(16) << 20)

dmattn_status device_tensor_create(dmattn_device *device, uint64_t size, const void *data, dmattn_buffer *buffer)
{
    TRY(dmattn_buffer_create(device, size, buffer));
    if (data)
        return dmattn_upload(device, buffer, 0, data, size);
    const uint64_t chunk = size < POISON_CHUNK ? size : POISON_CHUNK;
    void *poison = malloc((size_t)chunk);
    if (!poison)
        return DMATTN_ERROR_OUT_OF_MEMORY;
    memset(poison, 0xff, (size_t)chunk);
    dmattn_status status = DMATTN_SUCCESS;
    for (uint64_t at = 0; at < size && !status; at += chunk)
        status = dmattn_upload(device, buffer, at, poison, size - at < chunk ? size - at : chunk);
    free(poison);
    return status;
}

dmattn_status device_tensor_download(dmattn_device *device, const dmattn_buffer *buffer, const problem *p, tensor_id t,
                                     float *to)
{
    const uint64_t bytes = problem_bytes(p, t);
    const dmattn_type type = problem_type(p, t);
    const tensor_box box = problem_box(p, t);
    void *stored = bytes <= SIZE_MAX ? malloc((size_t)bytes) : NULL;
    if (!stored)
        return DMATTN_ERROR_OUT_OF_MEMORY;
    const dmattn_status status = dmattn_download(device, buffer, 0, stored, bytes);
    for (uint64_t row = 0; !status && row < tensor_box_rows(&box); row++) {
        const uint64_t at = tensor_box_at(&box, row);
        for (uint32_t i = 0; i < box.row; i++)
            *to++ = (float)element_load(type, stored, at + i);
    }
    free(stored);
    return status;
}
