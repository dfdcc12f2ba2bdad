/* SPDX-License-Identifier: MIT
 * Which results belong beside each other: of one device, of the same sizes, with the same mask. Sorted once, so that
 * large files take no longer for each of their results. */
#ifndef DMATTN_BENCH_NEIGHBOURS_H
#define DMATTN_BENCH_NEIGHBOURS_H

#include "result.h"

typedef struct neighbour {
    const case_result *result;
    const case_result *fastest;      /* of the same device, sizes, mask and way; NULL if none is ok */
    const case_result *fastest_peer; /* of the same device, sizes and mask */
    const case_result *first[3];     /* the file's first result of the device, of these sizes too, of this mask too */
} neighbour;

typedef struct neighbours {
    neighbour *item; /* in the order of tables: by first[], ours before peers, in the order of the file */
    neighbour *sorted;
    size_t count;
} neighbours;

/* False without memory; then there is nothing to destroy. */
bool neighbours_make(const results *all, neighbours *n);
void neighbours_destroy(neighbours *n);

/* The result of dense attention to compare with: of the same sizes, device and level or, for a peer, the fastest of its
 * program. NULL if there is none. */
const case_result *neighbours_dense(const neighbours *n, const case_result *r);

/* How many times faster than dense attention, as the file says, else than that one; NAN if nothing is known. */
double neighbours_speedup(const neighbours *n, const case_result *r);

#endif
