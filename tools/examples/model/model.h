/* SPDX-License-Identifier: MIT
 * The model with one sequence and a bounded cache: its command buffers of a prefill and of a decoding step. */
#ifndef EXAMPLE_MODEL_H
#define EXAMPLE_MODEL_H

#include "layers.h"

typedef struct model {
    layers layers;       /* its sequence: the app writes the prompt to it and reads the generated tokens */
    uint32_t window;     /* count of keys that a query sees */
    dmattn_plan *decode; /* one plan for all layers */
    dmattn_cache_layout cache;
    buffer states; /* one cache for each layer */
    buffer logits; /* [max_tokens, vocabulary] */
    buffer importance;
    buffer workspace; /* of the decoding plan */
} model;

/* `w` must outlive the model. */
void model_create(model *m, app *a, const weights *w, uint32_t window, uint32_t max_tokens);
void model_destroy(model *m);

sequence *model_sequence(const model *m);

/* Which keys a query of the model sees. */
dmattn_selection model_selection(uint32_t window);

/* A workspace for runs of the plan, one at a time. */
buffer plan_workspace(app *a, const dmattn_plan *plan);

/* Records a run over tokens 0 to n - 1 that fills the caches and computes the logits of each token and the next token.
 * Makes a plan for this length, which the caller destroys when the run is complete. */
VkCommandBuffer model_record_prefill(model *m, uint32_t n, dmattn_plan **plan);

/* Records a step, which appends the token at sequence.position to the caches and computes the next token. The same
 * commands are submitted for every step. */
VkCommandBuffer model_record_step(model *m);

#endif
