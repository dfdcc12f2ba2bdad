/* SPDX-License-Identifier: MIT
 * Statistics of AMD's compiler: registers, spills, shared memory and code size of every pipeline of a table of plans.
 * No card is needed. Fails if registers are spilled. See docs/notes/amd.md.
 *
 *     dmattn_pipeline_statistics [--markdown] FAMILY...
 *
 * The environment variable DMATTN_RADV names the ICD file of the driver (tools/radv); without it the program does
 * nothing. */
#include "complain.h"
#include "context.h"
#include "null_device.h"
#include "tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- rows of the table ----------------------------------------------------------------------------------------- */

#define MAX_ROWS     1024
#define MAX_LEFT_OUT 8

typedef struct table {
    const char *family;
    const null_device *device;
    char plan[64]; /* the name of the current plan */
    char sentence[512];
    unsigned rows;
    pipeline_statistics row[MAX_ROWS];
    char plans[MAX_ROWS][64]; /* the first plan that uses the pipeline */
    unsigned left_out;        /* the number of reasons */
    char reason[MAX_LEFT_OUT][512];
} table;

static void keep_sentence(void *user, dmattn_severity severity, const char *text)
{
    table *t = user;
    if (severity == DMATTN_SEVERITY_ERROR)
        snprintf(t->sentence, sizeof t->sentence, "%s", text);
}

/* Adds a pipeline. Plans share pipelines; each pipeline is one row. */
static void add_row(void *user, const pipeline_statistics *p)
{
    table *t = user;
    for (unsigned i = 0; i < t->rows; i++)
        if (t->row[i].kernel == p->kernel && t->row[i].constants == p->constants)
            return;
    if (t->rows == MAX_ROWS) {
        complain(1, "more than %d pipelines; increase MAX_ROWS", MAX_ROWS);
        exit(1);
    }
    memcpy(t->plans[t->rows], t->plan, sizeof t->plan);
    t->row[t->rows++] = *p;
}

static void add_reason(table *t)
{
    for (unsigned i = 0; i < t->left_out; i++)
        if (!strcmp(t->reason[i], t->sentence))
            return;
    if (t->left_out < MAX_LEFT_OUT)
        memcpy(t->reason[t->left_out++], t->sentence, sizeof t->sentence);
}

/* ---- plans ----------------------------------------------------------------------------------------------------- */

#define SIZES .batch = 1, .queries = 4096, .keys = 4096, .heads = 8, .kv_heads = 2
/* Rows of 129 elements, so that most do not begin at a multiple of 16 bytes. */
#define ODD_QUERIES .batch = 4096 * 1032, .sequence = 1032, .head = 129
#define ODD_KEYS    .batch = 4096 * 258, .sequence = 258, .head = 129
#define TOPW        .select = DMATTN_SELECT_TOPW_CAUSAL, .window = 512, .causal = true

typedef struct attention_case {
    const char *name;
    dmattn_attention_desc desc;
} attention_case;

/* Each row is used with every type and several head dimensions. */
static const attention_case masks[] = {
    {"all keys", {SIZES}},
    {"causal", {SIZES, .causal = true}},
    {"dense mask", {SIZES, .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = 4096}}},
    {"intervals",
     {SIZES, .mask = DMATTN_MASK_INTERVALS, .mask_shape = {.heads = 2}, .bias = true, .bias_shape = {.heads = 2}}},
};

/* Each row is used with every type. */
static const attention_case specials[] = {
    {"128, one query", {.batch = 1, .queries = 1, .keys = 4096, .heads = 8, .kv_heads = 2, .head_dim = 128}},
    {"128, odd strides",
     {SIZES, .head_dim = 128, .q_strides = {ODD_QUERIES}, .k_strides = {ODD_KEYS}, .v_strides = {ODD_KEYS},
      .out_strides = {ODD_QUERIES}}},
    {"128, all options",
     {SIZES, .head_dim = 128, .soft_cap = 20, .causal = true, .lse = true, .mask = DMATTN_MASK_DENSE,
      .mask_shape = {.heads = 8, .queries = 4096}, .bias = true, .bias_shape = {.heads = 8, .queries = 4096}}},
    {"40 and 72, causal", {SIZES, .head_dim = 40, .value_dim = 72, .causal = true}},
};

typedef struct mask_plan {
    const char *name;
    dmattn_mask_desc desc;
} mask_plan;

#define MASK_SIZES .batch = 1, .queries = 4096, .keys = 4096, .kv_heads = 2, .value_dim = 128, .list_queries = 16

static const mask_plan mask_plans[] = {
    {"mask, f16", {MASK_SIZES, .type = DMATTN_TYPE_F16, .selection = {TOPW}}},
    {"mask, bf16", {MASK_SIZES, .type = DMATTN_TYPE_BF16, .selection = {TOPW}}},
    {"mask, f32", {MASK_SIZES, .type = DMATTN_TYPE_F32, .selection = {TOPW}}},
    {"mask, all options",
     {MASK_SIZES, .type = DMATTN_TYPE_F16, .importance = {.dt_bias = true},
      .selection = {TOPW, .sinks = 4, .recent = 64, .sliding = 2048, .key_valid = true, .documents = 3}}},
    {"mask, the same keys for all",
     {MASK_SIZES, .type = DMATTN_TYPE_F16, .selection = {.select = DMATTN_SELECT_TOPW_SHARED, .window = 512}}},
    {"mask, threshold",
     {MASK_SIZES, .type = DMATTN_TYPE_F16,
      .selection = {.select = DMATTN_SELECT_THRESHOLD, .threshold = 0.5f, .causal = true}}},
};

static const dmattn_dma_desc dma = {.attention = {SIZES, .type = DMATTN_TYPE_F16, .head_dim = 128},
                                    .selection = {TOPW}};

static bool made(const table *t, dmattn_status status, dmattn_plan *plan)
{
    dmattn_plan_destroy(plan);
    return !status || complain(false, "%s, %s: %s", t->family, t->plan, t->sentence);
}

static dmattn_status plan_pass(const table *t, bool backward, const dmattn_attention_desc *desc, dmattn_plan **plan)
{
    dmattn_context *context = t->device->context;
    return backward
               ? dmattn_attention_backward_plan(context, &(dmattn_attention_backward_desc){.attention = *desc}, plan)
               : dmattn_attention_plan(context, desc, plan);
}

/* Makes plans at each level of the device. A level above portable is skipped if this pass, type, size or build does not
 * support it. */
static bool attention(table *t, bool backward, dmattn_attention_desc desc)
{
    bool ok = true;
    for (desc.level = DMATTN_LEVEL_PORTABLE; desc.level <= t->device->info.level; desc.level++) {
        dmattn_plan *plan;
        const dmattn_status status = plan_pass(t, backward, &desc, &plan);
        if (status == DMATTN_ERROR_UNSUPPORTED && desc.level > DMATTN_LEVEL_PORTABLE)
            add_reason(t);
        else
            ok = made(t, status, plan) && ok;
    }
    return ok;
}

static bool attention_plans(table *t, bool backward)
{
    static const dmattn_type types[] = {DMATTN_TYPE_F16, DMATTN_TYPE_BF16, DMATTN_TYPE_F32};
    static const uint32_t dims[] = {64, 128, 256};
    bool ok = true;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const char *type = dmattn_type_string(types[i]);
        dmattn_attention_desc desc;
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
            for (size_t m = 0; m < sizeof masks / sizeof *masks; m++) {
                desc = masks[m].desc;
                desc.type = types[i];
                desc.head_dim = dims[d];
                snprintf(t->plan, sizeof t->plan, "%s, %u, %s", type, dims[d], masks[m].name);
                ok = attention(t, backward, desc) && ok;
            }
        for (size_t s = 0; s < sizeof specials / sizeof *specials; s++) {
            desc = specials[s].desc;
            desc.type = types[i];
            snprintf(t->plan, sizeof t->plan, "%s, %s", type, specials[s].name);
            ok = attention(t, backward, desc) && ok;
        }
    }
    return ok;
}

static bool dynamic_mask_plans(table *t)
{
    dmattn_plan *plan;
    bool ok = true;
    for (size_t i = 0; i < sizeof mask_plans / sizeof *mask_plans; i++) {
        snprintf(t->plan, sizeof t->plan, "%s", mask_plans[i].name);
        const dmattn_status status = dmattn_mask_plan(t->device->context, &mask_plans[i].desc, &plan);
        ok = made(t, status, plan) && ok;
    }
    snprintf(t->plan, sizeof t->plan, "dynamic mask attention, f16, 128");
    dmattn_status status = dmattn_dma_plan(t->device->context, &dma, &plan);
    ok = made(t, status, plan) && ok;
    snprintf(t->plan, sizeof t->plan, "its gradients");
    status = dmattn_dma_backward_plan(t->device->context, &(dmattn_dma_backward_desc){.dma = dma}, &plan);
    return made(t, status, plan) && ok;
}

typedef struct decode_plan {
    const char *name;
    dmattn_decode_desc desc;
} decode_plan;

#define STEP(of, t, dim) \
    .type = (of), .batch = 1, .queries = (t), .heads = 8, .kv_heads = 2, .head_dim = (dim), .lse = true
#define PAGES .cache = DMATTN_CACHE_PAGED, .page_size = 64, .pages = 64, .max_keys = 4096

static const decode_plan decode_plans[] = {
    {"decoding, f16, 128", {.attention = {STEP(DMATTN_TYPE_F16, 1, 128)}, .selection = {TOPW}, .rollback = 4}},
    {"decoding, bf16, 128, 16 tokens", {.attention = {STEP(DMATTN_TYPE_BF16, 16, 128)}, .selection = {TOPW}}},
    {"decoding, f32, 256", {.attention = {STEP(DMATTN_TYPE_F32, 2, 256)}, .selection = {TOPW}}},
    {"decoding, f16, 64, pages", {.attention = {STEP(DMATTN_TYPE_F16, 1, 64)}, .selection = {.causal = true}, PAGES}},
    {"decoding, f16, 256, pages, mask",
     {.attention = {STEP(DMATTN_TYPE_F16, 4, 256), .mask = DMATTN_MASK_DENSE},
      .no_importance = true,
      .selection = {.causal = true},
      PAGES}},
};

static bool decoding_plans(table *t)
{
    dmattn_plan *plan;
    bool ok = true;
    for (size_t i = 0; i < sizeof decode_plans / sizeof *decode_plans; i++) {
        snprintf(t->plan, sizeof t->plan, "%s", decode_plans[i].name);
        const dmattn_status status = dmattn_decode_plan(t->device->context, &decode_plans[i].desc, &plan);
        ok = made(t, status, plan) && ok;
    }
    return ok;
}

/* ---- output ---------------------------------------------------------------------------------------------------- */

enum {
    COLUMN_FAMILY,
    COLUMN_KERNEL,
    COLUMN_LEVEL,
    COLUMN_PLAN,
    COLUMN_SUBGROUP,
    COLUMN_STATISTICS,
    COLUMNS = COLUMN_STATISTICS + STATISTIC_COUNT
};

static const char *const heads[COLUMNS] = {
    [COLUMN_FAMILY] = "family",
    [COLUMN_KERNEL] = "kernel",
    [COLUMN_LEVEL] = "level",
    [COLUMN_PLAN] = "plan",
    [COLUMN_SUBGROUP] = "subgroup",
    [COLUMN_STATISTICS + STATISTIC_SGPRS] = "SGPRs",
    [COLUMN_STATISTICS + STATISTIC_VGPRS] = "VGPRs",
    [COLUMN_STATISTICS + STATISTIC_SPILLED_SGPRS] = "spilled SGPRs",
    [COLUMN_STATISTICS + STATISTIC_SPILLED_VGPRS] = "spilled VGPRs",
    [COLUMN_STATISTICS + STATISTIC_SCRATCH] = "scratch",
    [COLUMN_STATISTICS + STATISTIC_LDS] = "LDS",
    [COLUMN_STATISTICS + STATISTIC_CODE] = "code",
    [COLUMN_STATISTICS + STATISTIC_SUBGROUPS] = "per SIMD",
};

#define CELL_SIZE 128

static void cell(const table *t, unsigned row, int column, char text[CELL_SIZE])
{
    const pipeline_statistics *p = &t->row[row];
    const int s = column - COLUMN_STATISTICS;
    switch (column) {
    case COLUMN_FAMILY: snprintf(text, CELL_SIZE, "%s", t->family); break;
    case COLUMN_KERNEL: snprintf(text, CELL_SIZE, "%s", p->kernel->name); break;
    case COLUMN_LEVEL: snprintf(text, CELL_SIZE, "%s", dmattn_level_string(p->kernel->level)); break;
    case COLUMN_PLAN: snprintf(text, CELL_SIZE, "%s", t->plans[row]); break;
    case COLUMN_SUBGROUP: snprintf(text, CELL_SIZE, "%u", p->subgroup_size); break;
    default:
        if (p->known[s])
            snprintf(text, CELL_SIZE, "%llu", (unsigned long long)p->value[s]);
        else
            snprintf(text, CELL_SIZE, "-");
    }
}

static void print_text(const table *t)
{
    char text[CELL_SIZE];
    int width[COLUMNS];
    for (int c = 0; c < COLUMNS; c++) {
        width[c] = (int)strlen(heads[c]);
        for (unsigned r = 0; r < t->rows; r++) {
            cell(t, r, c, text);
            width[c] = (int)strlen(text) > width[c] ? (int)strlen(text) : width[c];
        }
    }
    for (int c = 0; c < COLUMNS; c++)
        printf("%*s%s", c < COLUMN_SUBGROUP ? -width[c] : width[c], heads[c], c == COLUMNS - 1 ? "\n" : "  ");
    for (unsigned r = 0; r < t->rows; r++)
        for (int c = 0; c < COLUMNS; c++) {
            cell(t, r, c, text);
            printf("%*s%s", c < COLUMN_SUBGROUP ? -width[c] : width[c], text, c == COLUMNS - 1 ? "\n" : "  ");
        }
}

static bool alike(const pipeline_statistics *a, const pipeline_statistics *b)
{
    bool same = a->kernel == b->kernel && a->subgroup_size == b->subgroup_size;
    for (int s = 0; s < STATISTIC_COUNT; s++)
        same = same && (s == STATISTIC_CODE || (a->known[s] == b->known[s] && a->value[s] == b->value[s]));
    return same;
}

/* In a document, pipelines that differ only in code size are one row with the largest size. */
static void merge_rows(table *t)
{
    unsigned more[MAX_ROWS] = {0}, kept = 0;
    for (unsigned r = 0; r < t->rows; r++) {
        unsigned k = 0;
        while (k < kept && !alike(&t->row[k], &t->row[r]))
            k++;
        if (k == kept) {
            t->row[kept] = t->row[r];
            memmove(t->plans[kept++], t->plans[r], sizeof t->plans[r]);
            continue;
        }
        more[k]++;
        if (t->row[k].value[STATISTIC_CODE] < t->row[r].value[STATISTIC_CODE])
            t->row[k].value[STATISTIC_CODE] = t->row[r].value[STATISTIC_CODE];
    }
    t->rows = kept;
    for (unsigned k = 0; k < kept; k++) {
        const size_t length = strlen(t->plans[k]);
        if (more[k])
            snprintf(t->plans[k] + length, sizeof t->plans[k] - length, "; %u more", more[k]);
    }
}

static void print_markdown(const table *t)
{
    char text[CELL_SIZE];
    for (int c = COLUMN_KERNEL; c < COLUMNS; c++)
        printf("| %s %s", heads[c], c == COLUMNS - 1 ? "|\n" : "");
    for (int c = COLUMN_KERNEL; c < COLUMNS; c++)
        printf("|%s%s", c < COLUMN_SUBGROUP ? "---" : "---:", c == COLUMNS - 1 ? "|\n" : "");
    for (unsigned r = 0; r < t->rows; r++)
        for (int c = COLUMN_KERNEL; c < COLUMNS; c++) {
            cell(t, r, c, text);
            printf("| %s %s", text, c == COLUMNS - 1 ? "|\n" : "");
        }
}

static void print_matrices(const char *type, const matrix_shape *shape)
{
    if (shape->m)
        printf(", %s matrices of %ux%ux%u", type, shape->m, shape->n, shape->k);
    else
        printf(", no %s matrices", type);
}

static void print(table *t, bool markdown)
{
    const dmattn_device_info *info = &t->device->info;
    printf("\n%s%s: %s, %s", markdown ? "### " : "", t->family, info->name, info->driver);
    printf(markdown ? "\n\nLevels up to %s" : ", levels up to %s", dmattn_level_string(info->level));
    print_matrices("f16", &t->device->context->caps.matrix[DMATTN_TYPE_F16]);
    print_matrices("bf16", &t->device->context->caps.matrix[DMATTN_TYPE_BF16]);
    printf(markdown ? ".\n" : "\n");
    for (unsigned i = 0; i < t->left_out; i++)
        printf(markdown ? "Left out: %s.\n" : "left out: %s\n", t->reason[i]);
    printf("\n");
    if (markdown) {
        merge_rows(t);
        print_markdown(t);
    } else
        print_text(t);
    fflush(stdout);
}

/* ---- checks ---------------------------------------------------------------------------------------------------- */

/* No registers may be spilled; if they are, another tile must be chosen. A missing statistic is a failure, too. */
static bool judge(const table *t)
{
    static const statistic forbidden[] = {STATISTIC_SPILLED_SGPRS, STATISTIC_SPILLED_VGPRS, STATISTIC_SCRATCH};
    unsigned bad = 0, first = 0;
    for (unsigned r = 0; r < t->rows; r++) {
        bool spills = false;
        for (size_t f = 0; f < sizeof forbidden / sizeof *forbidden; f++) {
            if (!t->row[r].known[forbidden[f]])
                return complain(false, "%s: the driver does not report '%s'", t->family,
                                heads[COLUMN_STATISTICS + forbidden[f]]);
            spills = spills || t->row[r].value[forbidden[f]];
        }
        if (spills && !bad++)
            first = r;
    }
    const uint64_t *value = t->row[first].value;
    return !bad
           || complain(false,
                       "%s: %u of %u pipelines spill registers; the first is %s at the level %s for '%s': %u "
                       "spilled SGPRs, %u spilled VGPRs, %u bytes of scratch",
                       t->family, bad, t->rows, t->row[first].kernel->name,
                       dmattn_level_string(t->row[first].kernel->level), t->plans[first],
                       (unsigned)value[STATISTIC_SPILLED_SGPRS], (unsigned)value[STATISTIC_SPILLED_VGPRS],
                       (unsigned)value[STATISTIC_SCRATCH]);
}

static bool check_family(const char *driver, const char *family, bool markdown)
{
    static table t;
    null_device device;
    memset(&t, 0, sizeof t);
    t.family = family;
    t.device = &device;
    if (null_device_open(&device, driver, family, add_row, &t, keep_sentence, &t))
        return complain(false, "%s with %s: %s", family, driver, t.sentence);
    bool ok = attention_plans(&t, false);
    ok = attention_plans(&t, true) && ok;
    ok = dynamic_mask_plans(&t) && ok;
    ok = decoding_plans(&t) && ok;
    ok = judge(&t) && ok;
    print(&t, markdown);
    null_device_close(&device);
    return ok;
}

int main(int argc, char **argv)
{
    const char *driver = getenv("DMATTN_RADV");
    const bool markdown = argc > 1 && !strcmp(argv[1], "--markdown");
    const int first = markdown ? 2 : 1;
    bool ok = true;
    complain_as("dmattn_pipeline_statistics");
    if (argc <= first || *argv[first] == '-')
        return complain(2, "usage: DMATTN_RADV=FILE dmattn_pipeline_statistics [--markdown] FAMILY...");
    if (!driver || !*driver) {
        fprintf(stderr, "dmattn tests: no device (DMATTN_RADV names no driver; tools/radv has one)\n");
        return 0;
    }
    for (int i = first; i < argc; i++)
        ok = check_family(driver, argv[i], markdown) && ok;
    return ok ? 0 : 1;
}
