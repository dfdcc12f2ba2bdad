/* SPDX-License-Identifier: MIT
 * Sizes and strides: checks, and conversion to specialization constants. Pure functions. */
#ifndef DMATTN_SHAPE_H
#define DMATTN_SHAPE_H

#include "message.h"

/* Addresses are computed in 64 bits; a tensor that spans more than this would overflow them. */
#define MAX_TENSOR_BYTES (UINT64_C(1) << 62)

/* These two functions compute products and sums of sizes. A result above MAX_TENSOR_BYTES is TOO_MANY_BYTES. If an
 * operand is TOO_MANY_BYTES, so is the result. dmattn_check_bytes() refuses it. */
#define TOO_MANY_BYTES (MAX_TENSOR_BYTES + 1)
#define dmattn_product(...) \
    dmattn_multiply((const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))
uint64_t dmattn_multiply(const uint64_t *factors, size_t count);
uint64_t dmattn_add(uint64_t a, uint64_t b);

/* Returns INVALID if `bytes` is above MAX_TENSOR_BYTES. */
dmattn_status dmattn_check_bytes(const messenger *messenger, const char *name, uint64_t bytes);

/* The number of workgroups of a dispatch in each dimension. */
typedef struct grid {
    uint32_t x, y, z;
} grid;

/* The number of workgroups in one dimension. If it does not fit in 32 bits, UINT32_MAX, which no device allows. */
uint32_t dmattn_workgroups(uint64_t count);

static inline uint32_t dmattn_ceil_div(uint32_t a, uint32_t b)
{
    return a / b + (a % b != 0);
}

static inline uint32_t dmattn_max(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* The maximum number of workgroups of a dispatch, so that no slice of a grid with this work runs for seconds. */
uint32_t dmattn_grid_slice(grid g, double flops);

/* Replaces *most, the largest length of all runs, by the length of a run; 0: the same. `lengths`: of the descriptor. */
dmattn_status dmattn_shorten_length(const messenger *messenger, const char *name, bool lengths, uint32_t length,
                                    uint32_t *most);

/* Returns INVALID if `value` is not from 1 to 2^30 - 1. */
dmattn_status dmattn_check_size(const messenger *messenger, const char *name, uint32_t value);

/* Returns INVALID if `dim` is not a multiple of 8 from 8 on, UNSUPPORTED if it is above `most`. */
dmattn_status dmattn_check_dim(const messenger *messenger, const char *name, uint32_t dim, uint32_t most);

dmattn_status dmattn_check_type(const messenger *messenger, const char *name, dmattn_type type);

/* The index after the last element of a strided box; UINT64_MAX if it exceeds MAX_TENSOR_BYTES. */
uint64_t dmattn_span(const uint64_t extent[3], const uint64_t stride[3], uint64_t row);
uint64_t dmattn_strides_span(const dmattn_strides *s, uint32_t batch, uint32_t sequence, uint32_t heads, uint32_t dim);

/* Fills in default strides and checks the span. */
dmattn_status dmattn_strides_resolve(const messenger *messenger, const char *name, dmattn_strides *s, uint32_t batch,
                                     uint32_t sequence, uint32_t heads, uint32_t dim);

/* Whether all elements have different addresses. */
bool dmattn_strides_distinct(const dmattn_strides *s, uint32_t batch, uint32_t sequence, uint32_t heads, uint32_t dim);

/* Whether rows begin at multiples of 16 bytes if the tensor does. `size`: bytes of an element. */
bool dmattn_strides_aligned(const dmattn_strides *s, uint32_t batch, uint32_t sequence, uint32_t heads, uint32_t size);

/* Stores a stride in bytes in two constants. For a dimension of length 1, whose stride has no meaning, stores 0. */
void dmattn_put_stride(uint32_t *constants, uint32_t id, uint32_t extent, uint64_t elements, uint32_t element_size);

/* Stores the strides of batch, sequence and head in six constants. If the batch stride follows from the length, it is
 * not stored, and `bit` is returned. */
uint32_t dmattn_put_strides(uint32_t *constants, uint32_t id, const dmattn_strides *s, uint32_t batch,
                            uint32_t sequence, uint32_t heads, uint32_t size, uint32_t bit);

#endif
