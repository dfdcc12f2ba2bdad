/* SPDX-License-Identifier: MIT
 * The model on the device: its buffers, and the command buffers of a prefill and of a step of decoding. */
#ifndef EXAMPLE_MODEL_H
#define EXAMPLE_MODEL_H

#include "vulkan_app.h"
#include "weights.h"

/* Kernels of the app's own, in the order of names[] in model.c. */
typedef enum shader { EMBED, NORM, MATMUL, ROPE, GATE, ARGMAX, SHADER_COUNT } shader;

typedef struct sequence {
    uint32_t position; /* tokens that are in the cache */
    uint32_t token[];
} sequence;

typedef struct model {
    app *app;
    const weights *weights;
    uint32_t window; /* keys that a query sees */
    uint32_t max_tokens;
    VkPipelineLayout layout;
    VkPipeline pipelines[SHADER_COUNT];
    dmattn_plan *decode; /* one plan for all layers, */
    dmattn_cache_layout cache;
    buffer states;   /* each with a cache of its own */
    buffer sequence; /* in host memory: the app writes the prompt there, and reads what comes */
    buffer logits;   /* [max_tokens, VOCABULARY] */
    buffer parameters, rope;
    buffer x, normed, qkv, attended, gate_up, gated; /* a row for each token */
    buffer importance;
    buffer workspace; /* of decoding */
} model;

/* `w` must outlive it. */
void model_create(model *m, app *a, const weights *w, uint32_t window, uint32_t max_tokens);
void model_destroy(model *m);

sequence *model_sequence(const model *m);

/* Records a run over tokens 0 to n - 1, which leaves the caches filled, the logits of each token and the next token.
 * The plan, of that length, is the caller's to destroy when the run is complete. */
VkCommandBuffer model_record_prefill(model *m, uint32_t n, dmattn_plan **plan);

/* Records a step: the token at sequence.position joins the caches, and the next one is made. The same commands serve
 * all steps. */
VkCommandBuffer model_record_step(model *m);

#endif
