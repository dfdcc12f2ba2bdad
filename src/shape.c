/* SPDX-License-Identifier: MIT */
#include "shape.h"

#include "tensor.h"

#include "../shaders/lib/shared.h"

/* Whether a * b > MAX_TENSOR_BYTES. Most factors have 32 bits, and a division takes long. */
static bool is_too_large(uint64_t a, uint64_t b)
{
    return (a | b) <= UINT32_MAX ? a * b > MAX_TENSOR_BYTES : b && a > MAX_TENSOR_BYTES / b;
}

uint64_t dmattn_multiply(const uint64_t *factors, size_t count)
{
    uint64_t product = 1;
    bool is_zero = false, is_large = false;
    for (size_t i = 0; i < count; i++) {
        is_zero = is_zero || !factors[i];
        is_large = is_large || is_too_large(product, factors[i]);
        product = is_large ? MAX_TENSOR_BYTES : product * factors[i];
    }
    return is_zero ? 0 : is_large ? TOO_MANY_BYTES : product;
}

uint64_t dmattn_add(uint64_t a, uint64_t b)
{
    return a > MAX_TENSOR_BYTES || b > MAX_TENSOR_BYTES - a ? TOO_MANY_BYTES : a + b;
}

dmattn_status dmattn_check_bytes(const messenger *m, const char *name, uint64_t bytes)
{
    if (bytes > MAX_TENSOR_BYTES)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s has more than 2^62 bytes", name);
    return DMATTN_SUCCESS;
}

uint32_t dmattn_workgroups(uint64_t count)
{
    return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

void dmattn_put_stride(uint32_t *constants, uint32_t id, uint32_t extent, uint64_t elements, uint32_t element_size)
{
    uint64_t bytes = extent > 1 ? elements * element_size : 0;
    constants[id] = (uint32_t)bytes;
    constants[id + 1] = (uint32_t)(bytes >> 32);
}

uint32_t dmattn_put_strides(uint32_t *constants, uint32_t id, const dmattn_strides *s, uint32_t batch,
                            uint32_t sequence, uint32_t heads, uint32_t size, uint32_t bit)
{
    /* the shader counts rows in 32 bits */
    bool packed = s->batch == sequence * s->sequence && (uint64_t)batch * sequence <= UINT32_MAX;
    dmattn_put_stride(constants, id, packed ? 1 : batch, s->batch, size);
    /* A packed batch needs the sequence stride even if the sequence has length 1. */
    dmattn_put_stride(constants, id + 2, packed && batch > 1 ? 2 : sequence, s->sequence, size);
    dmattn_put_stride(constants, id + 4, heads, s->head, size);
    return packed ? bit : 0;
}

dmattn_status dmattn_shorten_length(const messenger *m, const char *name, bool lengths, uint32_t length, uint32_t *most)
{
    if (length && !lengths)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "the run has lengths of its own, but the descriptor does not set `lengths`");
    if (length > *most)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s is %u, but the plan is for at most %u", name, length, *most);
    *most = length ? length : *most;
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_check_size(const messenger *m, const char *name, uint32_t value)
{
    if (!value || value >= 1u << 30)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s is %u, but must be from 1 to 2^30 - 1", name, value);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_check_type(const messenger *m, const char *name, dmattn_type type)
{
    if ((unsigned)type >= TYPE_COUNT)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s %d is not a dmattn_type", name, (int)type);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_check_dim(const messenger *m, const char *name, uint32_t dim, uint32_t most)
{
    if (!dim || dim % 8)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s is %u, but must be a multiple of 8 from 8 to %u", name, dim,
                           most);
    if (dim > most)
        return dmattn_fail(m, DMATTN_ERROR_UNSUPPORTED, "%s is %u, but there are kernels only up to %u", name, dim,
                           most);
    return DMATTN_SUCCESS;
}

uint64_t dmattn_span(const uint64_t extent[3], const uint64_t stride[3], uint64_t row)
{
    uint64_t last = row;
    for (int i = 0; i < 3; i++) {
        uint64_t steps = extent[i] - 1;
        if (steps && stride[i] > (MAX_TENSOR_BYTES - last) / steps)
            return UINT64_MAX;
        last += steps * stride[i];
    }
    return last;
}

uint64_t dmattn_strides_span(const dmattn_strides *s, uint32_t batch, uint32_t sequence, uint32_t heads, uint32_t dim)
{
    return dmattn_span((uint64_t[]){batch, sequence, heads}, (uint64_t[]){s->batch, s->sequence, s->head}, dim);
}

dmattn_status dmattn_strides_resolve(const messenger *m, const char *name, dmattn_strides *s, uint32_t batch,
                                     uint32_t sequence, uint32_t heads, uint32_t dim)
{
    if (!s->batch && !s->sequence && !s->head) {
        s->head = dim;
        s->sequence = dmattn_product(heads, dim);
        s->batch = dmattn_product(sequence, s->sequence);
        TRY(dmattn_check_bytes(m, name, s->batch));
    }
    if (dmattn_strides_span(s, batch, sequence, heads, dim) > MAX_TENSOR_BYTES / 4)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s spans more than 2^60 elements with these strides", name);
    return DMATTN_SUCCESS;
}

/* In the order of strides, each stride must be larger than the span of all smaller ones. */
bool dmattn_strides_distinct(const dmattn_strides *s, uint32_t batch, uint32_t sequence, uint32_t heads, uint32_t dim)
{
    uint64_t extent[3] = {batch, sequence, heads}, stride[3] = {s->batch, s->sequence, s->head}, below = dim;
    bool done[3] = {false, false, false};
    for (int n = 0; n < 3; n++) {
        int least = -1;
        for (int i = 0; i < 3; i++)
            if (!done[i] && (least < 0 || stride[i] < stride[least]))
                least = i;
        done[least] = true;
        if (extent[least] == 1)
            continue;
        if (stride[least] < below)
            return false;
        below += (extent[least] - 1) * stride[least];
    }
    return true;
}

bool dmattn_strides_aligned(const dmattn_strides *s, uint32_t batch, uint32_t sequence, uint32_t heads, uint32_t size)
{
    return (batch == 1 || s->batch * size % 16 == 0) && (sequence == 1 || s->sequence * size % 16 == 0)
           && (heads == 1 || s->head * size % 16 == 0);
}

/* The slowest devices with a watchdog do about 0.5 TFLOP/s, so a slice takes less than a second there. */
#define SLICE_FLOPS 2e11

uint32_t dmattn_grid_slice(grid g, double flops)
{
    const double workgroups = (double)g.x * g.y * g.z, most = workgroups * SLICE_FLOPS / flops;
    return most >= UINT32_MAX ? UINT32_MAX : most < 1 ? 1 : (uint32_t)most;
}
