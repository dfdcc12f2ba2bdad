/* SPDX-License-Identifier: MIT
 * What vkbench runs: a sweep over parameters, the data of each case, and how many pairs its mask leaves. Pure
 * functions, no device. */
#ifndef DMATTN_BENCH_CASES_H
#define DMATTN_BENCH_CASES_H

#include "problem.h"
#include "shapes.h"

#define LIST_MAX   32
#define MOST_CASES 10000

/* What is timed, as bits: forward; the gradients, after a forward run that is not timed; or both, one after the other,
 * as in a step of training. Or, by itself, a step of decoding, or making a dynamic mask: importance, intervals, lists.
 */
typedef enum bench_pass {
    PASS_FORWARD = 1,
    PASS_BACKWARD = 2,
    PASS_BOTH = 3,
    PASS_DECODE = 4,
    PASS_MASK = 8
} bench_pass;

/* "forward", "backward", "both", "decode", "mask"; static storage. */
const char *pass_name(bench_pass pass);

typedef struct size_list {
    uint32_t count, value[LIST_MAX];
} size_list;

/* A mask by its name: "none", "causal", "dense:0.1", "interval:512", "causal+dense:0.1", "topw:1024"; of decoding
 * "none", which is attention to all keys side by side in memory, "topw:1024", a bounded cache, "paged" and "paged:0.1",
 * pages. */
typedef struct mask_choice {
    dmattn_mask mask;
    bool causal;
    bool dynamic;    /* dynamic mask attention, of the W most important keys at or before each query */
    bool paged;      /* decoding: keys in pages, */
    double fraction; /* of a dense mask's tiles that are on; of keys in pages that are important enough, 0: all */
    uint32_t
        window; /* that W; or that of intervals, whose keys live 1 to 2 W queries. 0: the smaller of 1024 and keys /
                   8 */
} mask_choice;

/* Lists whose product is the sweep. */
typedef struct sweep {
    size_list n, queries, keys; /* where queries or keys is empty, n stands in; where both are, for both at once */
    size_list batch, heads, kv_heads, head_dim, value_dim; /* 0 in kv_heads: heads; in value_dim: head_dim */
    uint32_t model_count; /* where there are models, each has the heads and dimensions, and their lists do not count */
    const model_shape *model[LIST_MAX]; /* borrowed */
    uint32_t type_count, mask_count, level_count;
    dmattn_type type[LIST_MAX];
    mask_choice mask[LIST_MAX];
    dmattn_level level[LIST_MAX];
    bool bias;       /* f32, one for each kv head and key */
    bench_pass pass; /* 0: to be set */
} sweep;

typedef struct bench_case {
    const char *model;          /* borrowed; NULL: none */
    dmattn_attention_desc desc; /* with a dynamic mask that of the attention in it, as dmattn_dma_desc wants it */
    dmattn_dma_desc dma;        /* with a dynamic mask, but */
    dmattn_decode_desc decode;  /* decoding with a cache, when desc is of attention to all its keys */
    mask_choice mask;           /* with its window filled in */
    bench_pass pass;
} bench_case;

/* Fills the lists that are empty with what suits a device of this type; the pass is forward where none is named. */
void sweep_set_defaults(sweep *s, VkPhysicalDeviceType device);

/* Whether more was named than types, levels and models, which suits any suite; before the defaults are set. */
bool sweep_names_cases(const sweep *s);

/* The number of cases; masks and levels vary fastest, types slowest. Every list but queries and keys holds something.
 */
uint64_t sweep_count(const sweep *s);
void sweep_case(const sweep *s, uint64_t index, bench_case *c);

/* Whether a case's descriptor is right, and its pass and mask go together; if not, the sentence why goes to the
 * messenger. It is resolved afterwards. */
dmattn_status case_check(bench_case *c, const messenger *messenger);

/* Whether there are not too many cases and each has a descriptor that is right; if not, the sentence why goes to the
 * messenger. */
bool sweep_check(const sweep *s, const messenger *messenger);

/* What a case is called, the same in every run: the model, or heads and dimensions; sizes; pass, mask and type; a bias;
 * the level, unless it is the best. */
#define CASE_NAME_SIZE 128
void case_name(const bench_case *c, char name[CASE_NAME_SIZE]);

#define MASK_NAME_SIZE 32
void mask_name(const mask_choice *mask, char name[MASK_NAME_SIZE]);

/* Whether it is decoding with a cache. */
bool case_has_cache(const bench_case *c);

/* Makes the problem of a case, with gradients if its pass has them. On failure *p is empty. */
dmattn_status case_create(const bench_case *c, const messenger *messenger, problem *p);

/* Fills a problem of a bench_case: q, k, v, bias and dout normal(0, 1), and the mask or what it is made of. Repeatable.
 */
void case_fill(problem *p, const mask_choice *mask, uint64_t seed);

/* Pairs of a query and a key that see each other, over all batch items and heads; counted from the mask itself,
 * which a dynamic one must have been made for. */
uint64_t count_visible_pairs(const problem *p);

#endif
