/* SPDX-License-Identifier: MIT
 * Associative recall, a task that language models must learn in order to copy, and a model with one layer of dynamic
 * mask attention that learns it in a few hundred steps. This is the host's part of the training: everything except
 * attention.
 *
 * A sequence has keys with their values at a few positions. The positions between them hold noise with meaningless
 * values. The last positions hold keys with a question mark: there, the model must name the key's value. Each position
 * holds two tokens, whose embeddings are added. The window holds less than half of a sequence. So the model must learn
 * that noise is unimportant, and which key answers a question. */
#ifndef DMATTN_TESTS_RECALL_MODEL_H
#define DMATTN_TESTS_RECALL_MODEL_H

#include "gradients.h"

enum {
    RECALL_BATCH = 8,
    RECALL_LENGTH = 32,
    RECALL_WINDOW = 12, /* of the selection */
    RECALL_PAIRS = 4,   /* pairs of key and value in a sequence, with different keys */
    RECALL_QUESTIONS = 4,
    RECALL_FIRST_QUESTION = RECALL_LENGTH - RECALL_QUESTIONS,
    RECALL_KEYS = 4, /* number of tokens of each kind */
    RECALL_VALUES = 4,
    RECALL_NOISES = 3,
    RECALL_TOKENS = RECALL_KEYS + RECALL_VALUES + RECALL_NOISES + 1,
    RECALL_WIDTH = 16, /* of an embedding */
    RECALL_HEADS = 2,  /* query heads; there is one kv head */
    RECALL_DIM = 16
};

typedef struct recall_batch {
    int token[RECALL_BATCH][RECALL_LENGTH][2];
    int pair[RECALL_BATCH][RECALL_QUESTIONS];  /* the position of the pair that answers the question */
    int value[RECALL_BATCH][RECALL_QUESTIONS]; /* its value */
} recall_batch;

void recall_batch_make(recall_batch *batch, uint64_t *random_state);

/* Offsets of the parameters. */
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
    double embedding[RECALL_TOKENS][RECALL_WIDTH]; /* not trained */
    double parameter[RECALL_PARAMETERS];
    double gradient[RECALL_PARAMETERS];
    double velocity[RECALL_PARAMETERS];
} recall_model;

void recall_model_make(recall_model *model, uint64_t seed);

/* The descriptor of the model's attention. */
dmattn_dma_desc recall_attention(void);

/* Computes the inputs of attention from the tokens: q, k, v and the parameters of the importance. */
void recall_project(const recall_model *model, const recall_batch *batch, problem *p);

/* Returns the loss, the mean cross-entropy of the answers, from attention's result. Computes the gradient of the
 * result, in the problem, and of the logits' weights. *right is the share of right answers. */
double recall_loss(recall_model *model, const recall_batch *batch, const float *out, problem *p, double *right);

/* Computes the gradients of all other parameters from attention's gradients. */
void recall_backward(recall_model *model, const recall_batch *batch, const gradients *g);

/* Gradient descent with momentum. */
void recall_step(recall_model *model);

#endif
