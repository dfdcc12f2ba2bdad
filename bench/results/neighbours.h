/* SPDX-License-Identifier: MIT
 * Which results are compared with each other: those of the same device, sizes and mask. Sorted once, so that the time
 * per result does not grow with the file. */
#ifndef DMATTN_BENCH_NEIGHBOURS_H
#define DMATTN_BENCH_NEIGHBOURS_H

#include "result.h"

typedef struct neighbour {
    const case_result *result;
    const case_result
        *fastest; /* of the same device, sizes, mask and way (requested level or program); NULL if none is ok */
    const case_result *fastest_peer; /* of the same device, sizes and mask */
    const case_result
        *first[3]; /* the file's first result of the same device; also of the same sizes; also of the same mask */
} neighbour;

typedef struct neighbours {
    neighbour *item;   /* in the order of tables: by first[], vkbench before peers, by position in the file */
    neighbour *sorted; /* sorted by device, sizes, mask and way, for searches */
    size_t count;
} neighbours;

/* False if out of memory; then there is nothing to destroy. */
bool neighbours_make(const results *all, neighbours *n);
void neighbours_destroy(neighbours *n);

/* The result of dense attention to compare with: of the same sizes, device and requested level; for a peer, the fastest
 * of its program. NULL if there is none. */
const case_result *neighbours_dense(const neighbours *n, const case_result *r);

/* The speedup over dense attention: as in the file, else over neighbours_dense(); NAN if unknown. */
double neighbours_speedup(const neighbours *n, const case_result *r);

#endif
