/* SPDX-License-Identifier: MIT
 * One training of the recall model. Its attention, forward and backward, runs in one of several ways. All else is the
 * same code for all ways, in double. */
#ifndef DMATTN_TESTS_RECALL_TRAINING_H
#define DMATTN_TESTS_RECALL_TRAINING_H

#include "recall_model.h"

typedef enum attention_way {
    ATTENTION_ON_DEVICE, /* as in an app */
    ATTENTION_ON_CPU,    /* the reference, in double: only inputs and results are rounded to f32 */
    ATTENTION_IN_FLOAT   /* plain f32 on the host: its distance from the reference shows the effect of rounding */
} attention_way;

typedef struct training {
    attention_way way;
    recall_model model;
    problem problem; /* the inputs of its attention, and the mask */
    float *out;
    gradients gradients;
    double loss, right;              /* loss and share of right answers of the last step */
    dmattn_plan *forward, *backward; /* from here on: only for the device */
    dmattn_buffer buffer[TENSOR_COUNT], forward_workspace, backward_workspace;
} training;

/* Uses the harness's device. */
void training_begin(training *t, attention_way way, uint64_t seed);
void training_end(training *t);

/* Runs a step except for recall_step(): computes the loss, the selection and the gradients. */
void training_run(training *t, const recall_batch *batch);

#endif
