/* SPDX-License-Identifier: MIT
 * Sequences that are decoded at random on the harness's device, and what the reference makes of each step. */
#ifndef DMATTN_TESTS_DECODE_MODEL_H
#define DMATTN_TESTS_DECODE_MODEL_H

#include "decode/desc.h"
#include "support/harness.h"

/* What may happen besides steps, each in one step of so many; 0: never. */
typedef struct decode_habits {
    unsigned rollback, too_far, restart, fork, fill, pause;
    unsigned most_tokens; /* a sequence that has more starts anew */
    unsigned levels;      /* of importance: how many different ones there are; 0: any */
    unsigned odd_numbers; /* importance NaN or infinite, in one token of so many */
} decode_habits;

typedef struct decode_results {
    uint64_t steps; /* of sequences */
    uint64_t rows;  /* compared */
    double error, lse_error;
    uint64_t hash; /* of the bits of all results */
    uint64_t rollbacks, broken, restarts, forks, fills;
} decode_results;

/* Runs `rounds` submissions of 8 steps each. Fails the test where a result is wrong, a guard was touched, or memory is
 * not what the layout says. `strides`: rows with gaps, which are not aligned. */
void decode_run(const char *name, const dmattn_decode_desc *desc, const decode_habits *habits, unsigned rounds,
                bool strides, uint64_t seed, decode_results *results);

#endif
