/* SPDX-License-Identifier: MIT
 * Decodes random sequences on the harness's device and compares each step with the reference. */
#ifndef DMATTN_TESTS_DECODE_MODEL_H
#define DMATTN_TESTS_DECODE_MODEL_H

#include "decode/desc.h"
#include "support/harness.h"

/* Events besides steps: each happens in one of so many steps on average; 0: never. */
typedef struct decode_habits {
    unsigned rollback, too_far, restart, fork, fill, pause;
    unsigned most_tokens; /* a sequence with more tokens starts again */
    unsigned levels;      /* the number of different values of importance; 0: any */
    unsigned odd_numbers; /* the importance of one in so many tokens is NaN or infinite; NaN is in one in so many rows
                             of q */
} decode_habits;

typedef struct decode_results {
    uint64_t steps; /* number of steps of sequences */
    uint64_t rows;  /* number of compared rows */
    double error, lse_error;
    uint64_t hash; /* of the bits of all results */
    uint64_t rollbacks, broken, restarts, forks, fills;
    uint64_t chunks;   /* fillings of sequences that had tokens, which they kept */
    uint64_t attended; /* fillings with attention to the cache */
} decode_results;

/* Runs `rounds` submissions of 8 steps each. The test fails if a result is wrong, a guard was written, or the memory
 * does not have the documented layout. `strides`: rows have gaps and are not aligned. */
void decode_run(const char *name, const dmattn_decode_desc *desc, const decode_habits *habits, unsigned rounds,
                bool strides, uint64_t seed, decode_results *results);

#endif
