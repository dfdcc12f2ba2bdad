/* SPDX-License-Identifier: MIT
 * The rows of the suite `serving`. */
#ifndef DMATTN_BENCH_SERVING_ROWS_H
#define DMATTN_BENCH_SERVING_ROWS_H

#include "rows.h"

/* Prints a row; before it the title and the column heads of its group, if that is a new one. */
void serving_print(row_table *t, const outcome *x);

#endif
