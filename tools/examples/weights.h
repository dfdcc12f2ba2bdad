/* SPDX-License-Identifier: MIT
 * The model: a transformer with the layers of Doge (arXiv 2508.02124), here of bytes. Each layer is
 *
 *     x = input_residual * x + attention(norm(x));  x = post_attention_residual * x + mlp(norm(x))
 *
 * where queries and keys are normalised for each head and rotated, and which keys a query sees is selected by
 * importance that dmattn computes from the values. Files have the names of Hugging Face's implementation,
 * "model.layers.0.A" and so on, and F32 or BF16 in them. */
#ifndef EXAMPLE_WEIGHTS_H
#define EXAMPLE_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

enum { VOCABULARY = 256, MAX_LAYERS = 64 };

/* Multiples of 4, heads of kv_heads, head_dim of 8. */
typedef struct model_shape {
    uint32_t layers, hidden, heads, kv_heads, head_dim, inner;
} model_shape;

/* Where tensors begin, in floats. q, k and v are one behind the other, and so are gate and up: one product each. */
typedef struct layer_weights {
    size_t norm, q, k, v, q_norm, k_norm, dt, a, o, residual;
    size_t mlp_norm, gate, up, down, mlp_residual;
} layer_weights;

typedef struct weights {
    model_shape shape;
    float *data; /* all of them: one upload */
    size_t count;
    size_t embed, norm, head;
    layer_weights layer[MAX_LAYERS];
} weights;

/* These give up by die() or refuse(). */
weights weights_random(const model_shape *shape, uint64_t seed);
weights weights_read(const char *path);
void weights_write(const weights *w, const char *path);
void weights_free(weights *w);

#endif
