/* SPDX-License-Identifier: MIT
 * The cases that vkbench runs: sweeps over parameters, the data of a case, and its number of visible pairs. Pure
 * functions, no device. */
#ifndef DMATTN_BENCH_CASES_H
#define DMATTN_BENCH_CASES_H

#include "bench_case.h"
#include "shapes.h"

#define LIST_MAX   32
#define MOST_CASES 10000

/* "forward", "backward", "both", "decode", "mask", "merge", "prefill", "select"; static storage. */
const char *pass_name(bench_pass pass);

typedef struct size_list {
    uint32_t count, value[LIST_MAX];
} size_list;

/* A sweep is the product of these lists. */
typedef struct sweep {
    size_list n, queries, keys; /* n replaces an empty list of queries or keys, or both together */
    size_list batch, heads, kv_heads, head_dim, value_dim; /* kv_heads 0: as many as heads; value_dim 0: head_dim */
    uint32_t model_count;                                  /* models replace the lists of heads and dimensions */
    const model_shape *model[LIST_MAX];                    /* borrowed */
    uint32_t type_count, mask_count, level_count;
    dmattn_type type[LIST_MAX];
    mask_choice mask[LIST_MAX];
    dmattn_level level[LIST_MAX];
    bool bias;                        /* f32, one per kv head and key */
    bool sink;                        /* a sink for each query head */
    bool slopes;                      /* ALiBi, a slope for each query head */
    bool q_f32;                       /* q and out are f32 */
    dmattn_format k_format, v_format; /* of k and v, or of caches */
    uint32_t page_size;               /* k and v are in pages of so many tokens; 0: they are not, or of 64 */
    uint32_t other_keys;              /* decoding, chunks: keys of all sequences but the first; 0: all have `keys` */
    uint32_t other_queries;           /* chunks: the same of queries */
    bool packed;                      /* chunks: queries are packed */
    bench_pass pass;                  /* 0: not set yet */
} sweep;

/* Fills empty lists with defaults for this type of device. The default pass is forward. */
void sweep_set_defaults(sweep *s, VkPhysicalDeviceType device);

/* Whether anything except types, levels and models was given. Then no suite can run. Call before
 * sweep_set_defaults(). */
bool sweep_names_cases(const sweep *s);

/* The number of cases. Levels and masks vary fastest, models and types slowest. No list except queries and keys may be
 * empty. */
uint64_t sweep_count(const sweep *s);
void sweep_case(const sweep *s, uint64_t index, bench_case *c);

/* Checks that a case's descriptor is valid and that its pass and mask can be combined, and resolves the descriptor. On
 * failure, sends the reason to the messenger. */
dmattn_status case_check(bench_case *c, const messenger *messenger);

/* Checks that there are not too many cases and that each passes case_check(). On failure, sends the reason to the
 * messenger. */
bool sweep_check(const sweep *s, const messenger *messenger);

/* The name of a case, which is the same in every run: the model, or heads and dimensions; sizes; pass, mask and type;
 * a bias; sinks; the level, unless it is "best". */
#define CASE_NAME_SIZE 128
void case_name(const bench_case *c, char name[CASE_NAME_SIZE]);

#define MASK_NAME_SIZE 32
void mask_name(const mask_choice *mask, char name[MASK_NAME_SIZE]);

/* The formats of the cache: "int8", or for k and v "q8_0+q4_0". Returns whether they are not those of the type. */
#define FORMATS_NAME_SIZE 16
bool formats_name(const bench_case *c, char name[FORMATS_NAME_SIZE]);

/* Whether the case is decoding with a cache. */
bool case_has_cache(const bench_case *c);

/* The tokens of a sequence at the end of a step. */
uint32_t case_keys(const bench_case *c, uint32_t sequence);

/* The queries of a sequence: new tokens of a step, or those of a chunk. */
uint32_t case_queries(const bench_case *c, uint32_t sequence);

/* The average of the keys over the sequences. */
double case_average_keys(const bench_case *c);

/* Creates the problem of a case, with gradients if its pass needs them. On failure *p is empty. */
dmattn_status case_create(const bench_case *c, const messenger *messenger, problem *p);

/* Fills a problem of a bench_case: q, k, v, bias and dout with normal(0, 1), and the mask or the inputs of a dynamic
 * mask. The same seed gives the same data. */
void case_fill(problem *p, const mask_choice *mask, uint64_t seed);

/* Fills the lists of selected keys of all queries with numbers up to the query's own. */
void case_fill_selected(const dmattn_attention_desc *desc, int32_t *lists, const mask_choice *mask, uint64_t *state);

/* Visible pairs of query and key over all batch items and heads, counted from the mask; a dynamic mask must have been
 * computed. */
uint64_t count_visible_pairs(const problem *p);

#endif
