/* SPDX-License-Identifier: MIT
 * Associative recall, the task that language models learn to copy by, and a model of one layer of dynamic mask
 * attention that learns it in some hundred steps: what a training loop does around attention, on the host.
 *
 * A sequence is of keys with their values at a few positions, between them noise with values of no meaning,
 * and at the last positions keys with a question mark: there the model is to name the key's value. Each position holds
 * two tokens, whose embeddings add up. The window holds less than half of a sequence, so that the model must learn to
 * find noise unimportant, besides which key answers a question. */
#ifndef DMATTN_TESTS_RECALL_MODEL_H
#define DMATTN_TESTS_RECALL_MODEL_H

#include "gradients.h"

enum {
    RECALL_BATCH = 8,
    RECALL_LENGTH = 32,
    RECALL_WINDOW = 12, /* of the selection */
    RECALL_PAIRS = 4,   /* in a sequence, of different keys */
    RECALL_QUESTIONS = 4,
    RECALL_FIRST_QUESTION = RECALL_LENGTH - RECALL_QUESTIONS,
    RECALL_KEYS = 4, /* tokens of each kind */
    RECALL_VALUES = 4,
    RECALL_NOISES = 3,
    RECALL_TOKENS = RECALL_KEYS + RECALL_VALUES + RECALL_NOISES + 1,
    RECALL_WIDTH = 16, /* of an embedding */
    RECALL_HEADS = 2,  /* that read one kv head */
    RECALL_DIM = 16
};

typedef struct recall_batch {
    int token[RECALL_BATCH][RECALL_LENGTH][2];
    int pair[RECALL_BATCH][RECALL_QUESTIONS];  /* where the key stands with the value that is asked for, */
    int value[RECALL_BATCH][RECALL_QUESTIONS]; /* and that value */
} recall_batch;

void recall_batch_make(recall_batch *batch, uint64_t *random_state);

/* The parameters, one behind the other. */
enum {
    RECALL_AT_Q = 0, /* weights [outputs, inputs] of q, k, v and the logits */
    RECALL_AT_K = RECALL_AT_Q + RECALL_HEADS * RECALL_DIM * RECALL_WIDTH,
    RECALL_AT_V = RECALL_AT_K + RECALL_DIM * RECALL_WIDTH,
    RECALL_AT_LOGITS = RECALL_AT_V + RECALL_DIM * RECALL_WIDTH,
    RECALL_AT_DT_WEIGHT = RECALL_AT_LOGITS + RECALL_VALUES * RECALL_HEADS * RECALL_DIM,
    RECALL_AT_A = RECALL_AT_DT_WEIGHT + RECALL_DIM,
    RECALL_AT_DT_BIAS,
    RECALL_PARAMETERS
};

typedef struct recall_model {
    double embedding[RECALL_TOKENS][RECALL_WIDTH]; /* fixed */
    double parameter[RECALL_PARAMETERS];
    double gradient[RECALL_PARAMETERS];
    double velocity[RECALL_PARAMETERS];
} recall_model;

void recall_model_make(recall_model *model, uint64_t seed);

/* What the attention in it is. */
dmattn_dma_desc recall_attention(void);

/* From tokens to the inputs of its attention: q, k, v and the parameters of the importance. */
void recall_project(const recall_model *model, const recall_batch *batch, problem *p);

/* From attention's result to the loss, the mean cross-entropy of the answers; back to the gradient of the result, in
 * the problem, and that of the logits' weights. *right: the share of right answers. */
double recall_loss(recall_model *model, const recall_batch *batch, const float *out, problem *p, double *right);

/* From attention's gradients to those of all other parameters. */
void recall_backward(recall_model *model, const recall_batch *batch, const gradients *g);

/* Gradient descent with momentum. */
void recall_step(recall_model *model);

#endif
