/* SPDX-License-Identifier: MIT */
#include "html.h"

#include "report/sources.h"
#include "svg.h"

#include <stdlib.h>
#include <string.h>

static const char page_style[] =
    "*{box-sizing:border-box}\n"
    "html{color-scheme:light dark}\n"
    "body{margin:0 auto;max-width:1120px;padding:24px 16px 48px;background:var(--page);color:var(--ink);\n"
    "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\n"
    "h1{font-size:26px;line-height:1.25;margin:0 0 4px}h2{font-size:19px;margin:40px 0 2px;line-height:1.3}\n"
    "p{margin:4px 0 12px}.mute{color:var(--mute)}.small{font-size:14px;max-width:96ch}\n"
    "svg{width:100%;height:auto;display:block;margin-top:8px}svg.narrow{display:none}\n"
    ".scroll{overflow-x:auto;margin:12px 0;border:1px solid var(--grid);border-radius:6px}\n"
    "table{border-collapse:collapse;font-size:13.5px;line-height:1.35;font-variant-numeric:tabular-nums;width:100%}\n"
    "th,td{padding:4px 8px;text-align:left;white-space:nowrap}\n"
    "th{font-weight:600;color:var(--mute)}th.n,td.n{text-align:right}\n"
    "tr.sizes td{border-top:1px solid var(--grid);padding-top:9px;font-weight:600}\n"
    "tr.sizes div{position:sticky;left:8px;width:fit-content;max-width:calc(100vw - 44px);white-space:normal}\n"
    "tr.peer td{color:var(--mute)}td.best{font-weight:700}\n"
    "td.bad{color:#c0392b}\n"
    "dl{display:grid;grid-template-columns:auto 1fr;gap:2px 14px;font-size:14px;margin:10px 0}\n"
    "summary{font-size:14px;color:var(--mute);cursor:pointer}\n"
    "dt{color:var(--mute);white-space:nowrap}dd{margin:0;overflow-wrap:anywhere;grid-column:2}\n"
    "@media(max-width:640px){body{padding:16px 10px 32px}h1{font-size:22px}h2{font-size:17px}\n"
    "svg.wide{display:none}svg.narrow{display:block}th,td{padding:4px 6px}\n"
    "dl{grid-template-columns:1fr;gap:0}dd{margin:0 0 8px;grid-column:1}}\n"
    "@media(prefers-color-scheme:dark){td.bad{color:#ff8a7a}}\n";

static void element(FILE *stream, const char *tag, const char *text)
{
    fprintf(stream, "<%s>", tag);
    xml_text(stream, text);
    fprintf(stream, "</%.*s>\n", (int)strcspn(tag, " "), tag);
}

static const char *device_name(const char *name)
{
    return *name ? name : "unnamed device";
}

/* ---- parts ---------------------------------------------------------------------------------------------------- */

enum { RUNS_UNFOLDED = 4 };

/* The runs, grouped by device. Runs of the same build share a line; many lines are folded. */
static void write_runs(FILE *stream, const results *all)
{
    char text[RUN_TEXT_SIZE], name[SOURCE_NAME_SIZE];
    const char *device = NULL; /* of the previous line; written only if it changes */
    size_t count;
    run_group *groups = runs_group(all, &count);
    const bool fold = count > RUNS_UNFOLDED;
    if (fold)
        fprintf(stream, "<details><summary>%zu builds and files</summary>\n", count);
    fputs("<dl>\n", stream);
    for (size_t i = 0; groups && i < count; i++) {
        const result_run *run = groups[i].run;
        if (!device || strcmp(device, run->device))
            element(stream, "dt", device_name(run->device));
        device = run->device;
        run_group_text(&groups[i], text);
        source_name(all, run, name);
        fputs("<dd>", stream);
        xml_text(stream, name);
        fputs(": ", stream);
        xml_text(stream, text);
        fputs("</dd>\n", stream);
    }
    fprintf(stream, "</dl>\n%s", fold ? "</details>\n" : "");
    free(groups);
}

static void write_chart(FILE *stream, const chart *c)
{
    element(stream, "h2", c->title);
    fputs("<p class=\"mute small\">", stream);
    xml_text(stream, c->device);
    fputs(". ", stream);
    xml_text(stream, chart_kinds[c->id].how_to_read);
    fputs("</p>\n", stream);
    svg_write(stream, c, SVG_WIDE);
    svg_write(stream, c, SVG_NARROW);
}

static bool belong_together(const case_result *a, const case_result *b)
{
    return result_same_sizes(a, b) && !strcmp(a->mask, b->mask);
}

/* Whether the row is the fastest of several results of the same sizes and mask. */
static bool is_best(const table *t, size_t row)
{
    const case_result *r = t->rows[row].result;
    size_t others = 0, first = row;
    while (first && belong_together(t->rows[first - 1].result, r))
        first--;
    for (size_t i = first; i < t->count && belong_together(t->rows[i].result, r); i++) {
        const case_result *o = t->rows[i].result;
        if (o == r || !result_is_ok(o))
            continue;
        if (o->median_ms < r->median_ms)
            return false;
        others++;
    }
    return others && result_is_ok(r);
}

static void write_sizes(FILE *stream, const table *t, size_t row)
{
    const table_row *this = &t->rows[row];
    int columns = 0;
    for (int c = 0; c < TABLE_COLUMNS; c++)
        columns += t->shown[c] && !table_is_size(c);
    fprintf(stream, "<tr class=\"sizes\"><td colspan=\"%d\"><div>", columns);
    char text[TABLE_SIZES_SIZE];
    table_sizes(this, text);
    xml_text(stream, text);
    fputs("</div></td></tr>\n", stream);
}

static void write_row(FILE *stream, const table *t, size_t row)
{
    const table_row *this = &t->rows[row];
    const bool again = row && result_same_sizes(t->rows[row - 1].result, this->result);
    const bool same = again && !strcmp(t->rows[row - 1].cell[CELL_MASK], this->cell[CELL_MASK]);
    const bool ok = result_is_ok(this->result), best = is_best(t, row);
    if (!again)
        write_sizes(stream, t, row);
    fprintf(stream, "<tr%s>", *this->result->peer ? " class=\"peer\"" : "");
    for (int c = 0; c < TABLE_COLUMNS; c++) {
        if (!t->shown[c] || table_is_size(c))
            continue;
        fprintf(stream, "<td class=\"%s%s%s\">", table_columns[c].is_number ? "n" : "",
                best && c == CELL_MS ? " best" : "", !ok && c == CELL_MS ? " bad" : "");
        if (!(same && c == CELL_MASK))
            xml_text(stream, this->cell[c]);
        fputs("</td>", stream);
    }
    fputs("</tr>\n", stream);
}

static void write_table(FILE *stream, const table *t)
{
    fputs("<h2>Results: ", stream);
    xml_text(stream, device_name(t->device));
    fputs("</h2>\n<div class=\"scroll\"><table>\n<tr>", stream);
    for (int c = 0; c < TABLE_COLUMNS; c++)
        if (t->shown[c] && !table_is_size(c)) {
            fprintf(stream, "<th%s title=\"", table_columns[c].is_number ? " class=\"n\"" : "");
            xml_text(stream, table_columns[c].meaning);
            fputs("\">", stream);
            xml_text(stream, table_columns[c].head);
            fputs("</th>", stream);
        }
    fputs("</tr>\n", stream);
    for (size_t i = 0; i < t->count; i++)
        write_row(stream, t, i);
    fputs("</table></div>\n", stream);
    for (size_t i = 0; i < t->count; i++) {
        const case_result *r = t->rows[i].result;
        if (result_is_ok(r))
            continue;
        fputs("<p class=\"small\"><b>", stream);
        xml_text(stream, r->status);
        fputs("</b> ", stream);
        xml_text(stream, r->identity);
        fputs(": ", stream);
        xml_text(stream, r->sentence);
        fputs("</p>\n", stream);
    }
}

static void write_columns(FILE *stream)
{
    element(stream, "h2", "Columns");
    fputs("<dl>\n", stream);
    for (int c = 0; c < TABLE_COLUMNS; c++) {
        element(stream, "dt", table_columns[c].head);
        element(stream, "dd", table_columns[c].meaning);
    }
    fputs("</dl>\n<p class=\"small mute\">The fastest result of the same sizes and mask is bold. Every result of "
          "vkbench was "
          "checked against the CPU before and after the timing.</p>\n",
          stream);
}

void html_write(FILE *stream, const void *user)
{
    const html_page *page = user;
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
          stream);
    element(stream, "title", "vkbench: attention benchmarks");
    fprintf(stream, "<style>\n%s%s</style>\n</head>\n<body>\n", svg_style, page_style);
    element(stream, "h1", "Attention benchmarks");
    write_runs(stream, page->results);
    for (size_t i = 0; i < page->charts->count; i++)
        write_chart(stream, &page->charts->charts[i]);
    for (size_t i = 0; i < page->tables->count; i++)
        write_table(stream, &page->tables->tables[i]);
    write_columns(stream);
    fputs("</body>\n</html>\n", stream);
}
