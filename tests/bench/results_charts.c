/* SPDX-License-Identifier: MIT
 * Tables, charts and their axes, the HTML report. */
#include "charts/chart.h"
#include "charts/html.h"
#include "charts/svg.h"
#include "report/table.h"
#include "result_documents.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- axes ------------------------------------------------------------------------------------------------------ */

Test(axes, ticks)
{
    static const double ends[][2] = {{1, 1.3}, {0.02, 9}, {900, 1100}, {1e-7, 1e9}, {3, 3}, {0.98, 41}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        for (int kind = AXIS_DECIMAL; kind <= AXIS_SIZE; kind++) {
            double ticks[AXIS_TICKS];
            axis a = {.kind = (axis_kind)kind, .from = 0, .to = 100};
            axis_set_ends(&a, ends[i][0], ends[i][1]);
            cr_expect(a.least < ends[i][0] && a.most > ends[i][1]);
            cr_expect_float_eq(axis_place(&a, a.least), 0, 1e-9);
            cr_expect_float_eq(axis_place(&a, a.most), 100, 1e-9);
            const size_t count = axis_ticks(&a, 8, ticks);
            cr_expect_leq(count, 8);
            for (size_t k = 0; k < count; k++)
                cr_expect(ticks[k] >= a.least * 0.999 && ticks[k] <= a.most * 1.001 && (!k || ticks[k] > ticks[k - 1]));
            if (kind == AXIS_DECIMAL && ends[i][1] > 10 * ends[i][0])
                cr_expect_geq(count, 3, "%g to %g", ends[i][0], ends[i][1]);
        }
}

Test(axes, numbers)
{
    static const struct {
        axis_kind kind;
        double value;
        const char *text;
    } rows[] = {{AXIS_SIZE, 512, "512"},
                {AXIS_SIZE, 32768, "32K"},
                {AXIS_SIZE, 1048576, "1M"},
                {AXIS_PERCENT, 0.125, "12.5 %"},
                {AXIS_DECIMAL, 0.02, "0.02"},
                {AXIS_DECIMAL, 0.00015, "0.00015"},
                {AXIS_DECIMAL, 0.00005, "0.00005"},
                {AXIS_DECIMAL, 0.0001, "0.0001"},
                {AXIS_DECIMAL, 10000, "10000"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[AXIS_TEXT_SIZE];
        const axis a = {.kind = rows[i].kind};
        axis_text(&a, rows[i].value, text);
        cr_expect_str_eq(text, rows[i].text);
    }
}

Test(axes, fit)
{
    const point square[] = {{1, 3}, {2, 12}, {8, 192}}, alone[] = {{5, 1}, {5, 2}};
    cr_expect_float_eq(fit_exponent(square, 3), 2, 1e-12);
    cr_expect(isnan(fit_exponent(alone, 2)));
    cr_expect(isnan(fit_exponent(alone, 1)));
}

Test(axes, labels_apart)
{
    double places[] = {10, 12, 13, 50, 99};
    spread_places(places, 5, 10, 0, 100);
    for (int i = 1; i < 5; i++)
        cr_expect_geq(places[i] - places[i - 1], 10);
    cr_expect(places[0] == 10 && places[3] == 50 && places[4] == 99);
    double low[] = {95, 96, 97};
    spread_places(low, 3, 10, 0, 100);
    cr_expect(low[2] == 100 && low[1] == 90 && low[0] == 80);
}

/* ---- tables and charts ----------------------------------------------------------------------------------------- */

static const char ours_and_peer[] = "{\"schema\":2,\"runs\":[" HEAD SPARSE(64, 2) "," DENSE(64, 4) "," DENSE(
    128, 16) ",{" SIZES(256) "\"mask\":\"a|b\",\"status\":\"failed\",\"sentence\":\"no <memory>\"}]},"
                             "{\"schema\":2,\"program\":\"pytorch\",\"device\":{\"name\":\"Card "
                             "<1>\"},\"results\":[{\"peer\":\"flex\"," SIZES(
                                 64) "\"mask\":\"topw:8\",\"status\":\"ok\",\"median_ms\":5}]}]}";

Test(tables, side_by_side)
{
    results all = {0};
    static char why[RESULTS_WHY_SIZE];
    cr_assert(add_document(&all, ours_and_peer, why), "%s", why);
    table_list list;
    cr_assert(tables_make(&all, &list));
    cr_assert_eq(list.count, 1);
    const table *t = list.tables;
    static const char *const order[][3] = {{"topw:8", "dmattn matrix", "2.000"},
                                           {"topw:8", "pytorch flex", "5.000"},
                                           {"causal", "dmattn matrix", "4.000"},
                                           {"causal", "dmattn matrix", "16.00"},
                                           {"a|b", "dmattn ", "failed"}};
    cr_assert_eq(t->count, sizeof order / sizeof *order);
    for (size_t i = 0; i < t->count; i++) {
        cr_expect_str_eq(t->rows[i].cell[CELL_MASK], order[i][0]);
        cr_expect_str_eq(t->rows[i].cell[CELL_WHO], order[i][1]);
        cr_expect_str_eq(t->rows[i].cell[CELL_MS], order[i][2]);
    }
    cr_expect_str_eq(t->rows[0].cell[CELL_PEER], "2.50x (flex)");
    cr_expect_str_eq(t->rows[0].cell[CELL_DENSE], "2.00x");
    cr_expect(!t->shown[CELL_ROOF] && t->shown[CELL_DENSE]);
    char *text = written_text(markdown_write, &list);
    cr_expect(strstr(text, "### Card \\<1>") && strstr(text, "| a\\|b |") && strstr(text, "no \\<memory>"), "%s", text);
    free(text);
    tables_destroy(&list);
    results_destroy(&all);
}

/* A peer whose name is long, at two lengths. */
static const char long_peer[] = "{\"schema\":2,\"program\":\"pytorch\",\"device\":{\"name\":\"Card <1>\"},\"results\":["
                                "{\"peer\":\"a_backend_with_a_very_long_name\"," SIZES(
                                    64) "\"mask\":\"causal\",\"status\":\"ok\",\"median_ms\":5},"
                                        "{\"peer\":\"a_backend_with_a_very_long_name\"," SIZES(
                                            128) "\"mask\":\"causal\",\"status\":\"ok\",\"median_ms\":9}]}";

/* The document again, as if from another file. */
static void add_file(results *all, const char *path)
{
    static char why[RESULTS_WHY_SIZE];
    cr_assert(results_add(all, cJSON_Parse(ours_and_peer), path, why), "%s", why);
}

/* Rows and labels of two files name their file, with the path if the names are equal. */
Test(tables, from_two_files)
{
    static const char *const paths[][2] = {{"x/before.json", "after.json"}, {"x/a.json", "y/a.json"}};
    static const char *const names[][2] = {{"before", "after"}, {"x/a.json", "y/a.json"}};
    for (int i = 0; i < 2; i++) {
        results all = {0};
        table_list tables;
        chart_list charts;
        add_file(&all, paths[i][0]);
        cr_assert(tables_make(&all, &tables));
        cr_expect(!tables.tables[0].shown[CELL_FROM], "one file");
        tables_destroy(&tables);
        add_file(&all, paths[i][1]);
        cr_assert(tables_make(&all, &tables) && charts_make(&all, &charts));
        cr_expect(tables.tables[0].shown[CELL_FROM]);
        for (int k = 0; k < 2; k++) {
            size_t rows = 0;
            for (size_t row = 0; row < tables.tables[0].count; row++)
                rows += !strcmp(tables.tables[0].rows[row].cell[CELL_FROM], names[i][k]);
            cr_expect_eq(2 * rows, tables.tables[0].count, "%s", names[i][k]);
            cr_expect(strstr(charts.charts[0].series[k].label, names[i][k]), "%s", charts.charts[0].series[k].label);
        }
        tables_destroy(&tables);
        charts_destroy(&charts);
        results_destroy(&all);
    }
}

/* Rows of a file with two builds also name their commit. */
Test(tables, from_two_builds)
{
    static const char one[] = HEAD DENSE(64, 4) "]}",
                      merged[] = "{\"schema\":2,\"runs\":[" HEAD DENSE(
                          64, 5) "]},"
                                 "{\"schema\":2,\"program\":\"vkbench\",\"commit\":\"def\",\"device\":{\"name\":\"Card "
                                 "<1>\"},\"results\":[" DENSE(64, 6) "]}]}";
    static const char *const from[][2] = {{"4.000", "one"}, {"5.000", "merged abc"}, {"6.000", "merged def"}};
    results all = {0};
    table_list list;
    static char why[RESULTS_WHY_SIZE];
    cr_assert(results_add(&all, cJSON_Parse(merged), "merged.json", why), "%s", why);
    cr_assert(tables_make(&all, &list));
    for (size_t row = 0; row < 2; row++)
        cr_expect_str_eq(list.tables[0].rows[row].cell[CELL_FROM], row ? "def" : "abc");
    tables_destroy(&list);
    cr_assert(results_add(&all, cJSON_Parse(one), "one.json", why), "%s", why);
    cr_assert(tables_make(&all, &list));
    cr_assert_eq(list.tables[0].count, sizeof from / sizeof *from);
    for (size_t i = 0; i < sizeof from / sizeof *from; i++)
        for (size_t row = 0; row < list.tables[0].count; row++)
            if (!strcmp(list.tables[0].rows[row].cell[CELL_MS], from[i][0]))
                cr_expect_str_eq(list.tables[0].rows[row].cell[CELL_FROM], from[i][1]);
    tables_destroy(&list);
    results_destroy(&all);
}

/* Without options, a table fits 80 columns, however long its texts are; runs of the same build share a line. */
Test(tables, text)
{
    results all = {0};
    table_list list;
    for (int i = 0; i < 9; i++)
        add_file(&all, i ? "a/file/with/quite/a/long/name/of/results.json" : "b.json");
    static char why[RESULTS_WHY_SIZE];
    cr_assert(add_document(&all, long_peer, why), "%s", why);
    cr_assert(tables_make(&all, &list));
    char *text = written_text(table_text_write, &list);
    cr_expect_eq(count_of(text, "vkbench 1.2.3"), 2);
    cr_expect(strstr(text, "results: vkbench 1.2.3, commit abc, d, 8 runs, 2026-01-02\n"), "%s", text);
    cr_expect(strstr(text, "Left out of some rows to fit 80 columns: "), "%s", text);
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        size_t columns = 0;
        for (const char *c = line; *c != '\n'; c++)
            columns += ((unsigned char)*c & 0xc0) != 0x80;
        cr_expect_leq(columns, 80, "%.100s", line);
    }
    free(text);
    tables_destroy(&list);
    results_destroy(&all);
}

Test(tables, of_every_device)
{
    enum { DEVICES = 70 };
    results all = {0};
    static char why[RESULTS_WHY_SIZE];
    for (int i = 0; i < DEVICES; i++) {
        char document[1024];
        snprintf(document, sizeof document, "{\"schema\":2,\"device\":{\"name\":\"Card %d\"},\"results\":[%s]}", i,
                 DENSE(64, 4));
        cr_assert(add_document(&all, document, why), "%s", why);
    }
    table_list list;
    cr_assert(tables_make(&all, &list));
    char *text = written_text(markdown_write, &list);
    cr_expect_eq(count_of(text, "### Card "), DEVICES);
    free(text);
    text = written_text(html_write, &(html_page){&all, &(chart_list){0}, &list});
    cr_expect_eq(count_of(text, "<h2>Results: Card "), DEVICES);
    cr_expect_eq(count_of(text, "<details><summary>70 builds and files</summary>"), 1); /* a long list is folded */
    free(text);
    tables_destroy(&list);
    results_destroy(&all);
}

/* Every line has as many fields as the header line. */
Test(tables, csv)
{
    results all = {0};
    static char why[RESULTS_WHY_SIZE];
    cr_assert(add_document(&all, ours_and_peer, why), "%s", why);
    ((case_result *)all.items)->sentence = "a \"b\", c";
    char *text = written_text(csv_write, &all);
    size_t fields = 0, lines = 0;
    cr_expect(strstr(text, "\"a \"\"b\"\", c\""), "%s", text);
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
        size_t count = 1;
        bool quoted = false;
        for (char *c = line; c < end; c++) {
            quoted = quoted != (*c == '"');
            count += *c == ',' && !quoted;
        }
        if (!lines)
            fields = count;
        cr_expect_eq(count, fields);
    }
    cr_expect_eq(lines, 1 + all.count);
    free(text);
    results_destroy(&all);
}

static void write_chart(FILE *stream, const void *c)
{
    svg_write(stream, c, SVG_FILE);
}

Test(charts, what_is_drawn)
{
    results all = {0};
    chart_list list;
    static char why[RESULTS_WHY_SIZE];
    cr_assert(add_document(&all, ours_and_peer, why), "%s", why);
    cr_assert(charts_make(&all, &list));
    cr_assert_eq(list.count, 3); /* the failed result is in no chart */
    const chart *time = &list.charts[0], *speedup = &list.charts[1], *roofline = &list.charts[2];
    cr_expect(time->id == CHART_TIME && speedup->id == CHART_SPEEDUP && roofline->id == CHART_ROOFLINE);
    cr_assert_eq(time->series_count, 1); /* topw and flex have only one length */
    cr_expect_str_eq(time->series[0].label, "causal, dmattn matrix");
    cr_expect_str_eq(time->series[0].note, "2.00");
    cr_assert_eq(speedup->series_count, 1);
    cr_expect_eq(speedup->series[0].points[0].y, 2);
    cr_expect_float_eq(speedup->series[0].points[0].x, 500 / (4 * 32 * 65.0), 1e-12);
    cr_expect_eq(roofline->series[0].points[0].x, 10); /* 1 TFLOP/s at 100 GB/s */
    cr_expect_eq(roofline->guide_count, 2);            /* copy and f32; there are no matrix ceilings */
    char *text = written_text(write_chart, time);
    cr_expect_eq(count_of(text, "class=\"mark\""), 2 + 1); /* points and the legend */
    cr_expect(!strstr(text, "nan") && !strstr(text, "inf") && strstr(text, "Card &lt;1&gt;"), "%s", text);
    free(text);
    charts_destroy(&list);
    results_destroy(&all);
}

/* Steps of the suite `serving`: a chart of tokens/s with a line for each format, and none of times. */
Test(charts, serving)
{
#define STEP(n, format, tokens)                                                                                       \
    "{" SIZES(n) "\"kv_format\":\"" format "\",\"mask\":\"paged:plain\",\"model\":\"m\",\"status\":\"ok\",\"level\":" \
                 "\"matrix\",\"median_ms\":1,\"tokens_per_second\":" #tokens "}"
    static const char steps[] = STEP(64, "int8", 20) "," STEP(128, "int8", 10) "," STEP(64, "", 8) "," STEP(128, "", 4);
    static const char *const suites[] = {"serving", "decode"};
    static char why[RESULTS_WHY_SIZE];
    for (int i = 0; i < 2; i++) {
        char text[4096];
        results all = {0};
        chart_list list;
        snprintf(text, sizeof text, "{\"suite\":\"%s\",%s%s]}", suites[i], HEAD + 1, steps);
        cr_assert(add_document(&all, text, why), "%s", why);
        cr_assert(charts_make(&all, &list));
        cr_assert_eq(list.count, 1);
        const chart *c = &list.charts[0];
        cr_expect_eq(c->id, i ? CHART_TIME : CHART_TOKENS);
        if (!i) {
            cr_expect_str_eq(c->name, "tokens-1");
            cr_expect_str_eq(c->title, "Tokens/s over the context: m, forward, paged:plain, 1 sequence");
            cr_assert_eq(c->series_count, 2);
            cr_expect_str_eq(c->series[0].label, "int8, dmattn matrix");
            cr_expect_str_eq(c->series[1].label, "f16, dmattn matrix");
            cr_expect(c->series[0].points[1].x == 128 && c->series[0].points[1].y == 10);
        }
        charts_destroy(&list);
        results_destroy(&all);
    }
#undef STEP
}

/* A constant time has the exponent 0.00, not -0.00; nearly equal matrix ceilings share one line. */
Test(charts, labels)
{
#define MATRICES(f16, bf16)                                                         \
    "\"ceilings\":{\"copy\":{\"gbytes_s\":1000},\"f16_matrices\":{\"tflops\":" #f16 \
    "},\"bf16_matrices\":{\"tflops\":" #bf16 "}},"
#define BOTH_TYPES(matrices)                                                                                 \
    "{\"schema\":2,\"program\":\"vkbench\",\"version\":\"1\",\"device\":{\"name\":\"Card\"}," matrices       \
    "\"results\":[" DENSE(64, 4) "," DENSE(                                                                  \
        128, 3.998) ",{\"type\":\"bf16\",\"batch\":1,\"heads\":4,\"kv_heads\":2,\"queries\":64,"             \
                    "\"keys\":64,\"head_dim\":64,\"value_dim\":64,\"pass\":\"forward\",\"mask\":\"causal\"," \
                    "\"causal\":true,"                                                                       \
                    "\"status\":\"ok\",\"median_ms\":4,\"tflops\":2,\"gbytes_s\":100}]}"
    static char why[RESULTS_WHY_SIZE];
    static const char *const texts[] = {BOTH_TYPES(MATRICES(600, 601)), BOTH_TYPES(MATRICES(600, 700))};
    for (size_t i = 0; i < 2; i++) {
        results all = {0};
        chart_list list;
        cr_assert(add_document(&all, texts[i], why), "%s", why);
        cr_assert(charts_make(&all, &list));
        cr_expect_str_eq(list.charts[0].series[0].note, "0.00");
        const chart *roofline = &list.charts[list.count - 1];
        cr_assert(roofline->id == CHART_ROOFLINE);
        cr_expect_eq(roofline->guide_count, 2 + i);
        cr_expect_str_eq(roofline->guides[1].label,
                         i ? "f16 matrices, 600 TFLOP/s" : "f16 and bf16 matrices, 600 TFLOP/s");
        charts_destroy(&list);
        results_destroy(&all);
    }
#undef MATRICES
#undef BOTH_TYPES
}

/* A text must be within the drawing at both widths, and none may be between the axes, where points are. So labels hide
 * no points. */
static void expect_texts_fit(const char *svg)
{
    double width = 0, left = 0, right = 0, top = 0, bottom = 0;
    cr_assert_eq(sscanf(strstr(svg, "viewBox=\"0 0 ") + 13, "%lf", &width), 1);
    /* the axes: M left top V bottom H right */
    cr_assert_eq(sscanf(strstr(svg, "class=\"axis\" d=\"M") + 17, "%lf %lfV%lfH%lf", &left, &top, &bottom, &right), 4);
    for (const char *at = svg; (at = strstr(at, " x=\"")); at++) {
        double x, y;
        cr_assert_eq(sscanf(at, " x=\"%lf\" y=\"%lf\"", &x, &y), 2);
        const char *begin = strchr(at, '>') + 1, *classes = strstr(at, "class=\"");
        const char *is_end = classes && classes < begin ? strstr(classes, "end\"") : NULL;
        const char *is_middle = classes && classes < begin ? strstr(classes, "middle\"") : NULL;
        const double text_width = 7.2 * (double)strcspn(begin, "<");
        const double first = is_end && is_end < begin         ? x - text_width
                             : is_middle && is_middle < begin ? x - text_width / 2
                                                              : x;
        const int shown = (int)strcspn(begin, "<");
        cr_expect(first >= 0 && first + text_width <= width, "'%.*s' is cut off", shown, begin);
        cr_expect(first >= right || first + text_width <= left || y <= top || y >= bottom, "'%.*s' hides points", shown,
                  begin);
    }
}

static void write_narrow(FILE *stream, const void *c)
{
    svg_write(stream, c, SVG_NARROW);
}

static void write_wide(FILE *stream, const void *c)
{
    svg_write(stream, c, SVG_WIDE);
}

Test(charts, texts_hide_nothing)
{
    results all = {0};
    chart_list list;
    static char why[RESULTS_WHY_SIZE];
    cr_assert(add_document(&all, ours_and_peer, why) && add_document(&all, long_peer, why), "%s", why);
    cr_assert(charts_make(&all, &list));
    cr_assert_eq(list.count, 3);
    for (size_t i = 0; i < list.count; i++) {
        void (*const writers[])(FILE *, const void *) = {write_narrow, write_wide};
        for (int k = 0; k < 2; k++) {
            char *text = written_text(writers[k], &list.charts[i]);
            expect_texts_fit(text);
            free(text);
        }
    }
    charts_destroy(&list);
    results_destroy(&all);
}

/* A point that was measured on a throttled device has a mark, which is explained. */
Test(charts, throttled)
{
    static char why[RESULTS_WHY_SIZE];
    for (int throttled = 0; throttled < 2; throttled++) {
        results all = {0};
        chart_list list;
        cr_assert(add_document(&all, HEAD DENSE(64, 4) "," DENSE(128, 16) "]}", why), "%s", why);
        all.items[1].throttled = throttled;
        cr_assert(charts_make(&all, &list));
        char *text = written_text(write_chart, &list.charts[0]);
        cr_expect_eq(count_of(text, "class=\"star\""), 2 * (size_t)throttled); /* the point and the legend */
        cr_expect_eq(count_of(text, "measured while the device was throttled"), throttled);
        free(text);
        charts_destroy(&list);
        results_destroy(&all);
    }
}

Test(charts, page)
{
    results all = {0};
    chart_list list;
    static char why[RESULTS_WHY_SIZE];
    cr_assert(add_document(&all, ours_and_peer, why), "%s", why);
    cr_assert(charts_make(&all, &list));
    table_list tables;
    cr_assert(tables_make(&all, &tables));
    char *text = written_text(html_write, &(html_page){&all, &list, &tables});
    cr_expect_eq(count_of(text, "<svg"), 2 * list.count);
    cr_expect_eq(count_of(text, "<svg"), count_of(text, "</svg>"));
    cr_expect_eq(count_of(text, "<tr"), count_of(text, "</tr>"));
    cr_expect_eq(count_of(text, "<dt>Card &lt;1&gt;</dt>"), 1, "%s",
                 text); /* it occurs once, although there are two runs */
    cr_expect(strstr(text, "no &lt;memory&gt;") && !strstr(text, "Card <1>"));
    cr_expect(!strstr(text, "http://") || count_of(text, "http") == count_of(text, "http://www.w3.org/2000/svg"));
    free(text);
    charts_destroy(&list);
    tables_destroy(&tables);
    results_destroy(&all);
}
