/* SPDX-License-Identifier: MIT
 * What rows of a run that uses a filled cache must be, by the CPU reference. */
#ifndef DMATTN_BENCH_DECODE_EXPECT_H
#define DMATTN_BENCH_DECODE_EXPECT_H

#include "decode_data.h"

enum { MOST_GROUPS = 8, ROWS_OF_GROUP = 2 };

/* Rows of one sequence and kv head, so that their keys and values are made once. */
typedef struct row_group {
    uint32_t sequence, kv_head;
    struct {
        uint32_t t, head;
        double lse;
    } row[ROWS_OF_GROUP];
} row_group;

typedef struct expectation {
    const decoding *d;
    uint32_t group_count;
    row_group group[MOST_GROUPS];
    double *out; /* [groups, rows, Dv], owned */
} expectation;

/* Samples rows of as many groups as take about a tenth of a second, and computes their results. If the first sequence
 * is longer than the others, at least one group is its own and one is another's. */
dmattn_status expect_groups(expectation *e, const dmattn_decode_desc *visible);

#endif
