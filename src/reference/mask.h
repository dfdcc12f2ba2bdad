/* SPDX-License-Identifier: MIT
 * The CPU reference of dynamic masks: the importance in double, and the keys that each query sees, by brute force from
 * the definition, without intervals. */
#ifndef DMATTN_REFERENCE_MASK_H
#define DMATTN_REFERENCE_MASK_H

#include <dmattn/dmattn.h>

/* Inputs in host memory; those that the mask does not use are ignored. */
typedef struct mask_inputs {
    const void *v, *dt_weight, *a, *dt_bias;
    const uint8_t *key_valid;
    const int32_t *query_offsets, *key_offsets;
} mask_inputs;

/* In all functions below desc->v_strides must be resolved; the selection need not be. */

double reference_importance(const dmattn_mask_desc *desc, const mask_inputs *in, uint32_t batch, uint32_t head,
                            uint32_t key);

/* The terms of the importance: z, and ln(1 + e^z). */
double reference_importance_z(const dmattn_mask_desc *desc, const mask_inputs *in, uint32_t batch, uint32_t head,
                              uint32_t key);
double reference_softplus(double z);

/* Sets visible[key] for each key of a head. `importance` is that of the head's keys; `scratch` holds desc->keys keys.
 */
typedef struct ranked_key {
    float importance;
    uint32_t key;
} ranked_key;
void reference_visible(const dmattn_mask_desc *desc, const mask_inputs *in, uint32_t batch, const float *importance,
                       uint32_t query, ranked_key *scratch, bool *visible);

/* Computes the interval of queries that see each key, begin and end [B, Hk, Sk], from `importance` [B, Hk, Sk]. Errors:
 * OUT_OF_MEMORY; INVALID if the queries that see some key are not one interval, which would be a defect here. */
dmattn_status reference_intervals(const dmattn_mask_desc *desc, const mask_inputs *in, const float *importance,
                                  int32_t *begin, int32_t *end);

#endif
