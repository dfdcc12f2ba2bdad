/* SPDX-License-Identifier: MIT
 * The model: a transformer with the layers of Doge (arXiv 2508.02124). Each layer is
 *
 *     x = input_residual * x + attention(norm(x));  x = post_attention_residual * x + mlp(norm(x))
 *
 * Queries and keys are normalised for each head and rotated. Importance, which dmattn computes from the values, selects
 * the keys that a query sees. Files use the tensor names of Hugging Face's implementation, such as
 * "model.layers.0.self_attn.A", and the types F32, F16 or BF16. Without lm_head.weight, the embedding takes its place.
 */
#ifndef EXAMPLE_WEIGHTS_H
#define EXAMPLE_WEIGHTS_H

#include "safetensors.h"

#include <stddef.h>
#include <stdint.h>

enum { MAX_LAYERS = 256 };

/* hidden and inner are multiples of 4; head_dim is a multiple of 8, and heads of kv_heads. */
typedef struct model_shape {
    uint32_t vocabulary, layers, hidden, heads, kv_heads, head_dim, inner;
} model_shape;

/* Offsets of the tensors, in floats. q, k and v are contiguous, and so are gate and up, so that one product computes
 * them. */
typedef struct layer_weights {
    size_t norm, q, k, v, q_norm, k_norm, dt, a, o, residual;
    size_t mlp_norm, gate, up, down, mlp_residual;
} layer_weights;

typedef struct weights {
    model_shape shape;
    float epsilon;     /* of the norms */
    double rope_theta; /* of the rotation by position */
    float *data;       /* all tensors, for a single upload */
    size_t count;
    size_t embed, norm, head;
    layer_weights layer[MAX_LAYERS];
} weights;

/* These call die() or refuse() on failure. */
weights weights_random(const model_shape *shape, uint64_t seed);

/* The tensors are in any of the files. Each tensor of the files must be one of the model. */
weights weights_from_files(const safetensors_file *files, size_t count);
void weights_write(const weights *w, const char *path);
void weights_free(weights *w);

#endif
