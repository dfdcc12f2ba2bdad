/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "estimate.h"
#include "format.h"
#include "kernel.h"
#include "results/provenance.h"

#include <math.h>
#include <string.h>

/* ---- devices ------------------------------------------------------------------------------------------------- */

bool report_missing_level(const dmattn_device_info *info, dmattn_level built, char *text, size_t size)
{
    if (info->level <= built)
        return false;
    snprintf(text, size,
             "This driver has cooperative matrices (level %s), but this build has only kernels up to the level %s. On "
             "Debian and Ubuntu, run tools/glslang; elsewhere, install glslang 15.4 or newer. Then configure and build "
             "again.",
             dmattn_level_string(info->level), dmattn_level_string(built));
    return true;
}

static void print_device(FILE *stream, uint32_t index, const dmattn_device_info *d)
{
    char first[16], subgroup[48], text[512];
    snprintf(first, sizeof first, "%u  ", index);
    print_paragraph(stream, first, d->name);
    print_paragraph(stream, "   driver ", d->driver);
    snprintf(subgroup, sizeof subgroup, d->min_subgroup_size == d->max_subgroup_size ? "%u" : "%u (%u-%u)",
             d->subgroup_size, d->min_subgroup_size, d->max_subgroup_size);
    snprintf(text, sizeof text, "type %s, level %s, subgroup %s, shared memory %u KiB, memory %.1f GiB",
             device_type_string(d->type), d->level ? dmattn_level_string(d->level) : "-", subgroup,
             d->shared_memory / 1024, (double)d->device_memory / 0x1p30);
    print_paragraph(stream, "   ", text);
    if (*d->unusable)
        print_paragraph(stream, "   cannot be used: ", d->unusable);
    if (report_missing_level(d, dmattn_kernel_highest_level(), text, sizeof text))
        print_paragraph(stream, "   ", text);
}

void report_devices(FILE *stream, const dmattn_runtime *runtime)
{
    const uint32_t count = dmattn_runtime_device_count(runtime);
    if (!count)
        fputs("no Vulkan devices\n", stream);
    for (uint32_t i = 0; i < count; i++) {
        dmattn_device_info info;
        if (dmattn_runtime_device_info(runtime, i, &info))
            fprintf(stream, "%u  cannot be used: its properties cannot be read\n", i);
        else
            print_device(stream, i, &info);
    }
}

/* ---- titles and ceilings ------------------------------------------------------------------------------------- */

void report_title(FILE *stream, const dmattn_device_info *info)
{
    char text[1024];
    snprintf(text, sizeof text, "%s, %s, %s; dmattn %s, commit %s", info->name, info->driver,
             dmattn_level_string(info->level), bench_version(), bench_commit());
    print_paragraph(stream, "", text);
    fflush(stream);
}

void report_ceiling_head(FILE *stream)
{
    fprintf(stream, "\n%-14s %8s %-8s %5s  %s\n", "ceiling", "rate", "unit", "+-%", "shape");
}

void report_ceiling(FILE *stream, ceiling_id id, const ceiling *p, bool throttled)
{
    char first[64];
    if (p->rate <= 0) {
        snprintf(first, sizeof first, "%-14s %8s %-8s ", ceiling_name(id), "-", ceiling_unit(id));
        print_paragraph(stream, first, p->why);
    } else {
        fprintf(stream, "%-14s %8s %-8s ", ceiling_name(id), number(p->rate * ceiling_scale(id), 8).text,
                ceiling_unit(id));
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

void report_tuned_case(FILE *stream, const bench_case *c)
{
    const dmattn_attention_desc *d = &c->desc;
    char mask[MASK_NAME_SIZE];
    mask_name(&c->mask, mask);
    fprintf(stream, "\n%s, B %u, H %u, Hk %u, Sq %u, Sk %u, D %u, Dv %u, %s\n", dmattn_type_string(d->type), d->batch,
            d->heads, d->kv_heads ? d->kv_heads : d->heads, d->queries, d->keys, d->head_dim,
            d->value_dim ? d->value_dim : d->head_dim, mask);
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
