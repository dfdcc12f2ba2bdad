/* SPDX-License-Identifier: MIT
 * One training of the model that learns to recall, whose attention is run in one of several ways, forward and backward:
 * what is around it is the same code for all, in double. */
#ifndef DMATTN_TESTS_RECALL_TRAINING_H
#define DMATTN_TESTS_RECALL_TRAINING_H

#include "recall_model.h"

typedef enum attention_way {
    ATTENTION_ON_DEVICE, /* as an app would */
    ATTENTION_ON_CPU,    /* the reference, in double: only what goes in and comes out is rounded to f32 */
    ATTENTION_IN_FLOAT   /* plain f32 on the host: its distance from the reference is what rounding does */
} attention_way;

typedef struct training {
    attention_way way;
    recall_model model;
    problem problem; /* the inputs of its attention, and the mask */
    float *out;
    gradients gradients;
    double loss, right;              /* of the last step: the share of right answers, too */
    dmattn_plan *forward, *backward; /* on the device, as all below */
    dmattn_buffer buffer[TENSOR_COUNT], forward_workspace, backward_workspace;
} training;

/* The device is the harness's. */
void training_begin(training *t, attention_way way, uint64_t seed);
void training_end(training *t);

/* A step but for the change of the parameters, recall_step(): the loss, the selection and the gradients are there. */
void training_run(training *t, const recall_batch *batch);

#endif
