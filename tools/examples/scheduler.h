/* SPDX-License-Identifier: MIT
 * A small scheduler of many sequences. In each run, every sequence that is served gets new tokens: some of its prompt,
 * or, after that, the token that was found last. So texts go on while prompts come. A run also has a chunk of one long
 * prompt. A prompt waits until there are an index and pages for it. */
#ifndef EXAMPLE_SCHEDULER_H
#define EXAMPLE_SCHEDULER_H

#include "options.h"
#include "pages.h"
#include "server.h"

typedef struct request {
    uint32_t *tokens; /* of the prompt, then those that were generated */
    uint32_t prompt, count, cached;
    uint32_t shared; /* tokens of the prompt that were another sequence's */
    int index;       /* of its sequence; -1: it is not served */
    bool done;
} request;

typedef struct scheduler {
    server *s;
    const pretrained *p;
    const options *o;
    request *requests;
    uint32_t count;
    request **served; /* by index; NULL: the index is free */
    pages pages;
    uint32_t promised; /* pages that the sequences may need until they end */
    uint32_t runs;
} scheduler;

/* Serves requests until all are done. */
void serve_all(scheduler *c, request *requests, uint32_t count);

#endif
