/* SPDX-License-Identifier: MIT
 * The tiles that --tune times, and their rows in the library's tables. Pure functions. */
#ifndef DMATTN_BENCH_TUNE_TILES_H
#define DMATTN_BENCH_TUNE_TILES_H

#include "cases/cases.h"

#include "backward/backward.h"
#include "capabilities.h"
#include "decode/stage.h"

/* The kernels that have tiles of their own. */
typedef enum tuned_kernel { TUNED_FORWARD, TUNED_QUERIES, TUNED_KEYS, TUNED_DECODE } tuned_kernel;

typedef struct tuned_tile {
    tuned_kernel kernel;
    bool chosen;          /* plans at its level choose it */
    backward_tiles tiles; /* queries: .query is the tile. keys: .key is. The others are those that plans choose */
    attention_tile forward;
    decode_tile decode;
} tuned_tile;

/* What a tile is tried for, resolved. */
typedef struct tuned_problem {
    bench_pass pass;                         /* forward, backward, both or decode */
    bool cache;                              /* decoding with a cache */
    dmattn_attention_backward_desc backward; /* backward.attention: forward, too; in decoding without a cache also */
    dmattn_decode_desc decode;
} tuned_problem;

dmattn_status tuned_problem_of(const bench_case *c, const messenger *messenger, tuned_problem *p);

/* All tiles of a level that a plan may choose for the problem, the chosen one first; for forward at matrix levels also
 * those of the search. Returns their number, at most `max`. */
uint32_t tuned_tiles(const capabilities *caps, const tuned_problem *p, dmattn_level level, tuned_tile *tiles,
                     uint32_t max);

/* The level, and the name of the tile's kernel. */
dmattn_level tuned_tile_level(const tuned_tile *t);
void tuned_tile_kernel(const tuned_tile *t, const tuned_problem *p, char name[KERNEL_NAME]);

/* The table of a tile, for example "forward matrix shared", and what the columns of its rows are. */
#define TILE_TABLE 64
void tuned_tile_table(const tuned_tile *t, char name[TILE_TABLE]);
const char *tuned_tile_columns(const tuned_tile *t);

/* The tile as a row of its table. */
#define TILE_ROW 160
void tuned_tile_row(const tuned_tile *t, const tuned_problem *p, char row[TILE_ROW]);

/* Arithmetic operations of the tile's kernel per visible pair. */
double tuned_tile_flops(const tuned_tile *t, const tuned_problem *p);

#endif
