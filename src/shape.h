/* SPDX-License-Identifier: MIT
 * Sizes and strides: their checks, and the form in which shaders get them. Pure functions. */
#ifndef DMATTN_SHAPE_H
#define DMATTN_SHAPE_H

#include "message.h"

/* Addresses are computed in 64 bits; a tensor that spans more than this would overflow them. */
#define MAX_TENSOR_BYTES (UINT64_C(1) << 62)

/* Products and sums of sizes are formed by these two. A result above MAX_TENSOR_BYTES is TOO_MANY_BYTES, which products
 * and sums keep; dmattn_check_bytes() refuses it. */
#define TOO_MANY_BYTES (MAX_TENSOR_BYTES + 1)
#define dmattn_product(...) \
    dmattn_multiply((const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))
uint64_t dmattn_multiply(const uint64_t *factors, size_t count);
uint64_t dmattn_add(uint64_t a, uint64_t b);

/* INVALID if `bytes` is above MAX_TENSOR_BYTES. */
dmattn_status dmattn_check_bytes(const messenger *messenger, const char *name, uint64_t bytes);

/* Workgroups of a dispatch. */
typedef struct grid {
    uint32_t x, y, z;
} grid;

/* The number of workgroups of one dimension, or UINT32_MAX beyond, which no device allows. */
uint32_t dmattn_workgroups(uint64_t count);

uint32_t dmattn_ceil_div(uint32_t a, uint32_t b);

/* Workgroups of a dispatch, at most, so that no dispatch of a grid of `flops` runs for seconds. */
uint32_t dmattn_grid_slice(grid g, double flops);

/* INVALID unless `value` is from 1 to 2^30 - 1. */
dmattn_status dmattn_check_size(const messenger *messenger, const char *name, uint32_t value);

/* INVALID unless `dim` is a multiple of 8 from 8 to 256. */
dmattn_status dmattn_check_dim(const messenger *messenger, const char *name, uint32_t dim);

dmattn_status dmattn_check_type(const messenger *messenger, const char *name, dmattn_type type);

/* One past the last element of a strided box, or UINT64_MAX beyond MAX_TENSOR_BYTES elements. */
uint64_t dmattn_span(const uint64_t extent[3], const uint64_t stride[3], uint64_t row);
uint64_t dmattn_strides_span(const dmattn_strides *s, uint32_t batch, uint32_t sequence, uint32_t heads, uint32_t dim);

/* Fills in the default and checks the span. */
dmattn_status dmattn_strides_resolve(const messenger *messenger, const char *name, dmattn_strides *s, uint32_t batch,
                                     uint32_t sequence, uint32_t heads, uint32_t dim);

/* Whether no two elements share a place. */
bool dmattn_strides_distinct(const dmattn_strides *s, uint32_t batch, uint32_t sequence, uint32_t heads, uint32_t dim);

/* Whether rows lie at multiples of 16 bytes if the tensor does. `size`: of an element. */
bool dmattn_strides_aligned(const dmattn_strides *s, uint32_t batch, uint32_t sequence, uint32_t heads, uint32_t size);

/* Stores a stride in bytes at two constants; 0 for a dimension of one step, whose stride means nothing. */
void dmattn_put_stride(uint32_t *constants, uint32_t id, uint32_t extent, uint64_t elements, uint32_t element_size);

/* Stores the strides of batch, sequence and head at six constants. Returns `bit` if the batch's follows from the
 * length, in which case it is not stored. */
uint32_t dmattn_put_strides(uint32_t *constants, uint32_t id, const dmattn_strides *s, uint32_t batch,
                            uint32_t sequence, uint32_t heads, uint32_t size, uint32_t bit);

#endif
