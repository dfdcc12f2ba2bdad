/* SPDX-License-Identifier: MIT
 * The CPU reference of dynamic masks: importance in double, and what each query sees by brute force from the
 * definition, knowing nothing of intervals. */
#ifndef DMATTN_REFERENCE_MASK_H
#define DMATTN_REFERENCE_MASK_H

#include <dmattn/dmattn.h>

/* Inputs in host memory; those that the mask does not have are ignored. */
typedef struct mask_inputs {
    const void *v, *dt_weight, *a, *dt_bias;
    const uint8_t *key_valid;
    const int32_t *query_offsets, *key_offsets;
} mask_inputs;

/* In all of these desc->v_strides is filled in; the selection may be as the user gave it. */

double reference_importance(const dmattn_mask_desc *desc, const mask_inputs *in, uint32_t batch, uint32_t head,
                            uint32_t key);

/* What it is made of: z, and ln(1 + e^z). */
double reference_importance_z(const dmattn_mask_desc *desc, const mask_inputs *in, uint32_t batch, uint32_t head,
                              uint32_t key);
double reference_softplus(double z);

/* Which keys a query sees. `importance`: of the head's keys. Scratch for desc->keys keys. */
typedef struct ranked_key {
    float importance;
    uint32_t key;
} ranked_key;
void reference_visible(const dmattn_mask_desc *desc, const mask_inputs *in, uint32_t batch, const float *importance,
                       uint32_t query, ranked_key *scratch, bool *visible);

/* The bounds of what each key is seen by, for all heads: begin and end [B, Hk, Sk]. `importance` likewise. INVALID if
 * some key is not seen by one interval of queries, which cannot be. */
dmattn_status reference_intervals(const dmattn_mask_desc *desc, const mask_inputs *in, const float *importance,
                                  int32_t *begin, int32_t *end);

#endif
