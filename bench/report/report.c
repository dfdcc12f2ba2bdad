/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "estimate.h"
#include "format.h"
#include "results/provenance.h"

#include <math.h>
#include <string.h>

/* ---- devices ------------------------------------------------------------------------------------------------- */

enum {
    COLUMN_INDEX,
    COLUMN_NAME,
    COLUMN_DRIVER,
    COLUMN_TYPE,
    COLUMN_LEVEL,
    COLUMN_SUBGROUP,
    COLUMN_SHARED,
    COLUMN_MEMORY,
    COLUMNS
};
#define CELL_SIZE (VK_MAX_DRIVER_NAME_SIZE + VK_MAX_DRIVER_INFO_SIZE)

typedef struct device_row {
    char cell[COLUMNS][CELL_SIZE];
    char unusable[128];
} device_row;

static void fill_device_row(const dmattn_runtime *runtime, uint32_t index, device_row *row)
{
    dmattn_device_info info;
    *row = (device_row){0};
    snprintf(row->cell[COLUMN_INDEX], CELL_SIZE, "%u", index);
    if (dmattn_runtime_device_info(runtime, index, &info)) {
        snprintf(row->unusable, sizeof row->unusable, "it tells nothing about itself");
        return;
    }
    snprintf(row->cell[COLUMN_NAME], CELL_SIZE, "%s", info.name);
    snprintf(row->cell[COLUMN_DRIVER], CELL_SIZE, "%s", info.driver);
    snprintf(row->cell[COLUMN_TYPE], CELL_SIZE, "%s", device_type_string(info.type));
    snprintf(row->cell[COLUMN_LEVEL], CELL_SIZE, "%s", info.level ? dmattn_level_string(info.level) : "-");
    if (info.min_subgroup_size == info.max_subgroup_size)
        snprintf(row->cell[COLUMN_SUBGROUP], CELL_SIZE, "%u", info.subgroup_size);
    else
        snprintf(row->cell[COLUMN_SUBGROUP], CELL_SIZE, "%u (%u-%u)", info.subgroup_size, info.min_subgroup_size,
                 info.max_subgroup_size);
    snprintf(row->cell[COLUMN_SHARED], CELL_SIZE, "%u KiB", info.shared_memory / 1024);
    snprintf(row->cell[COLUMN_MEMORY], CELL_SIZE, "%.1f GiB", (double)info.device_memory / 0x1p30);
    snprintf(row->unusable, sizeof row->unusable, "%s", info.unusable);
}

void report_devices(FILE *stream, const dmattn_runtime *runtime)
{
    static const char *const heads[COLUMNS] = {"",      "name",     "driver",        "type",
                                               "level", "subgroup", "shared memory", "memory"};
    const uint32_t count = dmattn_runtime_device_count(runtime);
    device_row row;
    int width[COLUMNS];
    if (!count) {
        fputs("no Vulkan devices\n", stream);
        return;
    }
    for (int c = 0; c < COLUMNS; c++)
        width[c] = (int)strlen(heads[c]);
    for (uint32_t i = 0; i < count; i++) {
        fill_device_row(runtime, i, &row);
        for (int c = 0; c < COLUMNS; c++)
            if ((int)strlen(row.cell[c]) > width[c])
                width[c] = (int)strlen(row.cell[c]);
    }
    for (int c = 0; c < COLUMNS; c++)
        fprintf(stream, "%-*s%s", c + 1 < COLUMNS ? width[c] : 0, heads[c], c + 1 < COLUMNS ? "  " : "\n");
    for (uint32_t i = 0; i < count; i++) {
        fill_device_row(runtime, i, &row);
        for (int c = 0; c < COLUMNS; c++)
            fprintf(stream, "%-*s%s", c + 1 < COLUMNS ? width[c] : 0, row.cell[c], c + 1 < COLUMNS ? "  " : "\n");
        if (*row.unusable)
            fprintf(stream, "%-*s  cannot be used: %s\n", width[COLUMN_INDEX], "", row.unusable);
    }
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

void report_title(FILE *stream, const dmattn_device_info *info)
{
    fprintf(stream, "%s, %s, %s; dmattn %s, commit %s\n\n", info->name, info->driver, dmattn_level_string(info->level),
            bench_version(), bench_commit());
    fflush(stream);
}

void report_ceiling_head(FILE *stream)
{
    fprintf(stream, "%-14s %8s %-8s %5s  %s\n", "ceiling", "rate", "unit", "+-%", "shape");
}

void report_ceiling(FILE *stream, ceiling_id id, const ceiling *p, bool throttled)
{
    char first[64];
    if (p->rate <= 0) {
        snprintf(first, sizeof first, "%-14s %8s %-8s ", ceiling_name(id), "-", ceiling_unit(id));
        print_paragraph(stream, first, p->why);
    } else {
        const bool slow = id != CEILING_COPY && p->rate < 1e11; /* as in the rows below */
        fprintf(stream, "%-14s %8s %-8s ", ceiling_name(id),
                number(p->rate * (slow ? 1e-9 : ceiling_scale(id)), 8).text, slow ? "GFLOP/s" : ceiling_unit(id));
        if (isfinite(p->uncertainty))
            fprintf(stream, "%5.1f", 100 * p->uncertainty);
        else
            fprintf(stream, "%5s", "-");
        if (p->shape.m)
            fprintf(stream, "  %u x %u x %u", p->shape.m, p->shape.n, p->shape.k);
        fputs(throttled ? "  *\n" : "\n", stream);
    }
    fflush(stream);
}

/* The column of the kernels; that of both passes has two. */
static int kernel_width(bench_pass pass)
{
    return pass == PASS_BOTH ? 72 : 38;
}

void report_head(FILE *stream, bench_pass pass, bool bounds, bool cold)
{
    fprintf(stream, "%-4s %2s %3s %3s %6s %6s %3s %3s %-16s %-8s %-*s %8s%s %5s %7s %6s %6s%s\n", "type", "B", "H",
            "Hk", "Sq", "Sk", "D", "Dv", "mask", "pass", kernel_width(pass), "kernel", "ms", cold ? "  cold ms" : "",
            "+-%", "TFLOP/s", "GB/s", "vis.%", bounds ? " of bound" : "");
}

void report_tuned_case(FILE *stream, const bench_case *c)
{
    const dmattn_attention_desc *d = &c->desc;
    char mask[MASK_NAME_SIZE];
    mask_name(&c->mask, mask);
    fprintf(stream, "%s, B %u, H %u, Hk %u, Sq %u, Sk %u, D %u, Dv %u, %s\n", dmattn_type_string(d->type), d->batch,
            d->heads, d->kv_heads ? d->kv_heads : d->heads, d->queries, d->keys, d->head_dim,
            d->value_dim ? d->value_dim : d->head_dim, mask);
    fflush(stream);
}

static void report_times(FILE *stream, const outcomes *o, const outcome *x, bool bounds, bool cold)
{
    const measurement *m = &x->m;
    const dmattn_attention_desc *d = &m->desc;
    const double pairs = (double)d->batch * d->heads * d->queries * d->keys;
    const double percent = 100 * summary_uncertainty(&m->time), tflops = measurement_tflops(m);
    fprintf(stream, " %8s", number(1e3 * m->time.median, 8).text);
    if (cold)
        fprintf(stream, " %8s", m->cold > 0 ? number(1e3 * m->cold, 8).text : "-");
    if (isfinite(percent))
        fprintf(stream, " %5.1f", percent);
    else
        fprintf(stream, " %5s", "-");
    fprintf(stream, " %7s %6s %6.2f", tflops > 0 ? number(tflops, 7).text : "-", number(measurement_gbytes(m), 6).text,
            100 * (double)m->visible_pairs / pairs);
    if (bounds && m->roofline_seconds > 0)
        fprintf(stream, " %7.1f%%", 100 * measurement_roofline_share(m));
    else if (bounds)
        fprintf(stream, " %8s", "-");
    fprintf(stream, " %s\n", outcome_marks(o, x));
}

void report_row(FILE *stream, const outcomes *o, const outcome *x, bool bounds, bool cold)
{
    const bench_case *c = &x->c;
    const measurement *m = &x->m;
    const dmattn_attention_desc *d = &m->desc;
    char mask[MASK_NAME_SIZE];
    mask_name(&c->mask, mask);
    fprintf(stream, "%-4s %2u %3u %3u %6u %6u %3u %3u %-16s %-8s ", dmattn_type_string(d->type), d->batch, d->heads,
            d->kv_heads, d->queries, d->keys, d->head_dim, d->value_dim, mask, pass_name(c->pass));
    const char *first = m->planned[0].kernel, *second = m->planned[1].kernel;
    char kernels[2 * sizeof m->planned->kernel + 2];
    snprintf(kernels, sizeof kernels, "%s%s%s", first, *first && *second ? ", " : "", second);
    if (m->status == CASE_OK) {
        fprintf(stream, "%-*s", kernel_width(c->pass), kernels);
        report_times(stream, o, x, bounds, cold);
    } else
        fprintf(stream, "%s: %s\n", m->status == CASE_WRONG ? "WRONG" : case_status_string(m->status), m->sentence);
    fflush(stream);
}

static void report_stages(FILE *stream, const measurement *m)
{
    for (int i = 0; i < STAGE_COUNT; i++)
        fprintf(stream, "%s%s %s ms", i ? ", " : "", stage_names[i], number(1e3 * m->stage[i], 8).text);
    const double plane_keys = (double)m->desc.batch * m->desc.kv_heads * m->desc.keys;
    fprintf(stream, "; mask %.1f + lists %.1f bytes a key and head", (double)m->mask_bytes / plane_keys,
            (double)m->lists_bytes / plane_keys);
}

/* The gradients of rows and those of keys. */
static void report_checked(FILE *stream, const measurement *m)
{
    fprintf(stream, "checked: dq of %u rows", m->checked_rows);
    for (int t = TENSOR_DK; t < TENSOR_COUNT; t++)
        if (m->check.checked_gradients & gradient_bit((tensor_id)t))
            fprintf(stream, "%s%s", t == TENSOR_DK ? "; " : ", ", dmattn_tensor_name((tensor_id)t));
    fprintf(stream, " of %s%u keys", m->checked_keys == m->desc.keys ? "all " : "", m->checked_keys);
}

static void report_decoding(FILE *stream, const measurement *m)
{
    fprintf(stream, "%s tokens/s", number(m->tokens_per_second, 9).text);
    if (m->cache_bytes)
        fprintf(stream, ", %s MiB of cache a sequence", number((double)m->cache_bytes / 0x1p20, 7).text);
}

void report_details(FILE *stream, const outcomes *o, const outcome *x)
{
    const measurement *m = &x->m;
    const bool stages = m->stage[STAGE_ATTENTION] > 0;
    const double speedup = outcome_speedup(o, x);
    if (m->status != CASE_OK || !(stages || m->checked_keys || m->tokens_per_second > 0 || speedup > 0))
        return;
    const char *between = "; ";
    fputs("     ", stream);
    if (m->tokens_per_second > 0)
        report_decoding(stream, m);
    else if (stages)
        report_stages(stream, m);
    else if (m->checked_keys)
        report_checked(stream, m);
    else
        between = "";
    if (speedup > 0)
        fprintf(stream, "%s%.1f times faster than dense", between, speedup);
    if (stages && speedup > 0)
        fprintf(stream, ", attention alone %.1f", speedup * m->time.median / m->stage[STAGE_ATTENTION]);
    fputs("\n", stream);
    fflush(stream);
}

/* ---- progress ------------------------------------------------------------------------------------------------ */

void progress_erase(progress *p)
{
    if (p->terminal && p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}

void progress_phase(void *user, const char *name)
{
    progress *p = user;
    const unsigned long long index = p->index + 1, count = p->count;
    char left[DURATION_SIZE], text[96] = "";
    if (p->shown && !p->terminal)
        return;
    if (p->seconds_left > 0) {
        duration_text(p->seconds_left, left);
        snprintf(text, sizeof text, ", about %s left", left);
    }
    progress_erase(p);
    if (!count)
        fprintf(stderr, "%s", name);
    else if (p->terminal)
        fprintf(stderr, "case %llu of %llu%s: %s", index, count, text, name);
    else
        fprintf(stderr, "case %llu of %llu%s", index, count, text);
    if (!p->terminal)
        fputs("\n", stderr);
    p->shown = true;
    fflush(stderr);
}
