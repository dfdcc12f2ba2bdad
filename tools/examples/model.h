/* SPDX-License-Identifier: MIT
 * The model on the device: its buffers, and the command buffers of a prefill and of a decoding step. */
#ifndef EXAMPLE_MODEL_H
#define EXAMPLE_MODEL_H

#include "vulkan_app.h"
#include "weights.h"

/* The app's own shaders, in the order of names[] in model.c. */
typedef enum shader { EMBED, NORM, MATMUL, ROPE, GATE, ARGMAX, SHADER_COUNT } shader;

typedef struct sequence {
    uint32_t position; /* count of tokens in the cache */
    uint32_t token[];
} sequence;

typedef struct model {
    app *app;
    const weights *weights;
    uint32_t window; /* count of keys that a query sees */
    uint32_t max_tokens;
    VkPipelineLayout layout;
    VkPipeline pipelines[SHADER_COUNT];
    dmattn_plan *decode; /* one plan for all layers */
    dmattn_cache_layout cache;
    buffer states;   /* one cache for each layer */
    buffer sequence; /* in host memory: the app writes the prompt to it and reads the generated tokens */
    buffer logits;   /* [max_tokens, vocabulary] */
    buffer parameters, rope;
    buffer x, normed, qkv, attended, gate_up, gated; /* a row for each token */
    buffer importance;
    buffer workspace; /* of the decoding plan */
} model;

/* `w` must outlive the model. */
void model_create(model *m, app *a, const weights *w, uint32_t window, uint32_t max_tokens);
void model_destroy(model *m);

sequence *model_sequence(const model *m);

/* Records a run over tokens 0 to n - 1 that fills the caches and computes the logits of each token and the next token.
 * Makes a plan for this length, which the caller destroys when the run is complete. */
VkCommandBuffer model_record_prefill(model *m, uint32_t n, dmattn_plan **plan);

/* Records a step, which appends the token at sequence.position to the caches and computes the next token. The same
 * commands are submitted for every step. */
VkCommandBuffer model_record_step(model *m);

#endif
