/* SPDX-License-Identifier: MIT
 * A run of decode_run(): its sequences, and what is in host memory and on the device. */
#ifndef DMATTN_TESTS_DECODE_MODEL_RUN_H
#define DMATTN_TESTS_DECODE_MODEL_RUN_H

#include "decode_model.h"
#include "tensor.h"

#define STEPS    8    /* steps per submission */
#define MOST_LOG 1024 /* maximum number of tokens of a sequence */

/* The tokens of a sequence so far. */
typedef struct history {
    char *k, *v;
    float *importance; /* [Hk, MOST_LOG] */
    uint32_t length, floor;
    bool broken;
} history;

typedef struct run {
    const char *name;
    dmattn_decode_desc desc; /* resolved */
    dmattn_cache_layout layout;
    const decode_habits *habits;
    decode_results *results;
    dmattn_plan *plan, *importance_plan;
    dmattn_plan_info info;
    uint64_t random;
    history *sequences;
    history path;  /* what a token of a step with a mask sees in a bounded cache */
    bool *written; /* paged: for each entry of the block table, whether the next submission writes its page */
    /* of all steps, one after another */
    uint64_t bytes[TENSOR_COUNT];
    char *image[TENSOR_COUNT];
    dmattn_buffer buffer[TENSOR_COUNT], workspace, prompt_k, prompt_v, prompt_importance, computed;
    double *out, *lse; /* the right out[Dv] and lse for (step, sequence, token, head) */
    bool *wanted;
} run;

/* Zeros, to free(). The test fails if memory runs out. */
void *decode_model_allocate(uint64_t bytes);

/* A chunk that attends to the cache, with desc.chunk_tokens. */
typedef struct chunk chunk;

/* Whether the next filling may be such a chunk. */
bool decode_model_can_chunk(const run *r, uint32_t first, uint32_t keys);

/* Records a chunk, whose tokens the history of the sequence already has, and r->prompt_v its values. `asked_first`: as
 * in dmattn_decode_chunk_args. Then, after the submission: compares its results with the right ones. */
chunk *decode_model_record_chunk(run *r, VkCommandBuffer commands, uint32_t sequence, uint32_t first, uint32_t keys,
                                 uint32_t asked_first);
void decode_model_compare_chunk(run *r, chunk *c);

/* Compares the results of a submission with the right ones, and the cache with what it should hold. */
void decode_model_compare(run *r, unsigned round);

#endif
