/* SPDX-License-Identifier: MIT
 * A self-contained HTML page with all charts, tables and explanations; without scripts. */
#ifndef DMATTN_BENCH_HTML_H
#define DMATTN_BENCH_HTML_H

#include "chart.h"
#include "report/table.h"

#include <stdio.h>

typedef struct html_page {
    const results *results;
    const chart_list *charts;
    const table_list *tables;
} html_page;

/* `page` is a const html_page *. */
void html_write(FILE *stream, const void *page);

#endif
