/* SPDX-License-Identifier: MIT
 * The caches of cases: of decoding, and of the chunks of a prompt. Pure functions. */
#ifndef DMATTN_BENCH_CASE_CACHE_H
#define DMATTN_BENCH_CASE_CACHE_H

#include "bench_case.h"

/* Tokens of a page. */
uint32_t case_page_tokens(const bench_case *c);

/* The pages of all sequences. 64 bits, because the lists of a sweep may ask for more than a cache can have. */
uint64_t case_pages(const bench_case *c);

/* Completes a case of decoding that has a cache: c->decode. */
void case_set_cache(bench_case *c);

/* Completes a chunk of a prompt: the cache, c->decode, and its pages in c->desc. */
void case_set_prefill(bench_case *c);

/* Bytes of the largest buffer of the cache; 0: the case has none, or is not valid. */
uint64_t case_cache_bytes(const bench_case *c);

#endif
