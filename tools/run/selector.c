/* SPDX-License-Identifier: MIT */
#include "selector.h"

#include "check.h"
#include "complain.h"
#include "device.h"
#include "metadata.h"
#include "reference/selector.h"
#include "selector/desc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { Q, K, WEIGHTS, COUNTS, INPUTS };
static const char *const names[INPUTS] = {"q", "k", "weights", "counts"};

typedef struct selector_case {
    const run_options *options;
    const safetensors_tensor *input[INPUTS]; /* NULL: there is none */
    dmattn_selector_desc desc;               /* resolved */
    uint64_t rows;
    int32_t *selected; /* the lists, owned */
    dmattn_level level;
    char why_not_higher[512];
} selector_case;

bool is_selector(const safetensors_file *file)
{
    const char *op = safetensors_metadata(file, "op");
    return op && !strcmp(op, "selector");
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int read_metadata(const safetensors_file *file, selector_case *c)
{
    dmattn_selector_desc *d = &c->desc;
    const struct {
        const char *name;
        uint32_t *number;
    } numbers[] = {{"count", &d->count},
                   {"block", &d->block},
                   {"first", &d->first},
                   {"recent", &d->recent},
                   {"list_heads", &d->list_heads}};
    int status = metadata_flag(file, c->options->in, "relu", &d->relu);
    if (!status)
        status = metadata_flag(file, c->options->in, "causal", &d->causal);
    for (size_t i = 0; !status && i < sizeof numbers / sizeof *numbers; i++)
        status = metadata_number(file, c->options->in, numbers[i].name, numbers[i].number);
    return status;
}

static bool has_shape(const safetensors_tensor *t, safetensors_type type, uint32_t rank, const uint64_t *shape)
{
    return t->type == type && t->rank == rank && !memcmp(t->shape, shape, rank * sizeof *shape);
}

static int read_q_and_k(selector_case *c)
{
    const char *path = c->options->in;
    const safetensors_tensor *q = c->input[Q], *k = c->input[K];
    dmattn_selector_desc *d = &c->desc;
    if (q->rank != 4 || (q->type != SAFETENSORS_F32 && q->type != SAFETENSORS_F16 && q->type != SAFETENSORS_BF16))
        return complain(RUN_BAD_INPUT, "%s: q must have 4 dimensions and be F32, F16 or BF16", path);
    if (k->rank != 4 || k->type != q->type || k->shape[0] != q->shape[0] || k->shape[3] != q->shape[3])
        return complain(RUN_BAD_INPUT, "%s: k must be [B, Sk, Hk, D], of the type of q [B, Sq, H, D]", path);
    for (int i = 0; i < 4; i++)
        if (!q->shape[i] || q->shape[i] > INT32_MAX || !k->shape[i] || k->shape[i] > INT32_MAX)
            return complain(RUN_BAD_INPUT, "%s: an extent of q or k is not from 1 to 2^31 - 1", path);
    d->type = q->type == SAFETENSORS_F16    ? DMATTN_TYPE_F16
              : q->type == SAFETENSORS_BF16 ? DMATTN_TYPE_BF16
                                            : DMATTN_TYPE_F32;
    d->batch = (uint32_t)q->shape[0];
    d->queries = (uint32_t)q->shape[1];
    d->heads = (uint32_t)q->shape[2];
    d->head_dim = (uint32_t)q->shape[3];
    d->keys = (uint32_t)k->shape[1];
    d->kv_heads = (uint32_t)k->shape[2];
    return RUN_DONE;
}

static int read_inputs(const safetensors_file *file, selector_case *c)
{
    const char *path = c->options->in;
    error_log error = {0};
    for (int i = 0; i < INPUTS; i++)
        if (!(c->input[i] = safetensors_find(file, names[i])) && i <= K)
            return complain(RUN_BAD_INPUT, "%s: there is no tensor '%s'", path, names[i]);
    int status = read_q_and_k(c);
    if (!status)
        status = read_metadata(file, c);
    if (status)
        return status;
    const uint64_t *q = c->input[Q]->shape, counts[] = {q[0], 2};
    if (c->input[WEIGHTS] && !has_shape(c->input[WEIGHTS], SAFETENSORS_F32, 3, q))
        return complain(RUN_BAD_INPUT, "%s: weights must be F32 [B, Sq, H]", path);
    if (c->input[COUNTS] && !has_shape(c->input[COUNTS], SAFETENSORS_I32, 2, counts))
        return complain(RUN_BAD_INPUT, "%s: counts must be I32 [B, 2]", path);
    c->desc.weights = c->input[WEIGHTS] != NULL;
    c->desc.counts = c->input[COUNTS] != NULL;
    const dmattn_selector_desc given = c->desc;
    const dmattn_status resolved = dmattn_selector_desc_resolve(&given, &c->desc, &(messenger){error_log_keep, &error});
    if (resolved)
        return complain(exit_status(resolved), "%s: %s", path, error_log_sentence(&error, resolved));
    c->desc.level = c->options->level;
    c->rows = (uint64_t)c->desc.batch * c->desc.list_heads * c->desc.queries;
    return RUN_DONE;
}

static void warn_of_ignored(const safetensors_file *file, const char *path)
{
    static const char *const tensors[] = {"q", "k", "weights", "counts", "selected", NULL};
    static const char *const metadata[] = {"op",    "relu",   "causal",     "count", "block",
                                           "first", "recent", "list_heads", NULL};
    warn_of_others(file, path, tensors, metadata);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static const void *data_of(const safetensors_tensor *t)
{
    return t ? t->data : NULL;
}

static int run_on_cpu(selector_case *c)
{
    const dmattn_selector_desc *d = &c->desc;
    const reference_selector_inputs in = {.q = data_of(c->input[Q]),
                                          .k = data_of(c->input[K]),
                                          .weights = data_of(c->input[WEIGHTS]),
                                          .counts = data_of(c->input[COUNTS])};
    double *scores = malloc(dmattn_selector_numbers(d) * sizeof *scores);
    dmattn_status status = scores ? DMATTN_SUCCESS : DMATTN_ERROR_OUT_OF_MEMORY;
    for (uint64_t i = 0; !status && i < c->rows; i++) {
        const reference_selector_row row = {.item = (uint32_t)(i / d->queries / d->list_heads),
                                            .list = (uint32_t)(i / d->queries % d->list_heads),
                                            .query = (uint32_t)(i % d->queries)};
        reference_selector_scores(d, &in, row, scores, NULL);
        status = reference_selector_list(d, &in, row, scores, c->selected + i * d->count);
    }
    free(scores);
    return status ? complain(RUN_FAILED, "no host memory for the scores") : RUN_DONE;
}

static dmattn_status upload(dmattn_device *device, const safetensors_tensor *t, dmattn_buffer *buffer)
{
    if (!t)
        return DMATTN_SUCCESS;
    TRY(dmattn_buffer_create(device, t->bytes, buffer));
    return dmattn_upload(device, buffer, 0, t->data, t->bytes);
}

static dmattn_status compute(selector_case *c, dmattn_device *device, const dmattn_plan *plan)
{
    const uint64_t bytes = sizeof(int32_t) * c->rows * c->desc.count;
    dmattn_selector_args args = {0};
    dmattn_plan_info info;
    VkCommandBuffer commands;
    dmattn_plan_get_info(plan, &info);
    c->level = info.level;
    snprintf(c->why_not_higher, sizeof c->why_not_higher, "%s", info.why_not_higher);
    TRY(upload(device, c->input[Q], &args.q));
    TRY(upload(device, c->input[K], &args.k));
    TRY(upload(device, c->input[WEIGHTS], &args.weights));
    TRY(upload(device, c->input[COUNTS], &args.counts));
    TRY(dmattn_buffer_create(device, bytes, &args.selected));
    TRY(dmattn_buffer_create(device, info.workspace_size, &args.workspace));
    TRY(dmattn_commands_begin(device, &commands));
    TRY(dmattn_selector_record(plan, commands, &args));
    TRY(dmattn_commands_submit(device));
    return dmattn_download(device, &args.selected, 0, c->selected, bytes);
}

/* The device destroys its buffers. */
static int run_on_device(dmattn_device *device, const error_log *error, void *user)
{
    selector_case *c = user;
    dmattn_plan *plan = NULL;
    dmattn_status status = dmattn_selector_plan(dmattn_device_context(device), &c->desc, &plan);
    if (!status)
        status = compute(c, device, plan);
    dmattn_plan_destroy(plan);
    return status ? complain(exit_status(status), "%s", error_log_sentence(error, status)) : RUN_DONE;
}

static int run_and_write(selector_case *c, const safetensors_file *file)
{
    const run_options *o = c->options;
    const dmattn_selector_desc *d = &c->desc;
    char why[SAFETENSORS_ERROR_SIZE], device[256] = "";
    safetensors_tensor selected = {.name = "selected",
                                   .type = SAFETENSORS_I32,
                                   .rank = 4,
                                   .shape = {d->batch, d->list_heads, d->queries, d->count},
                                   .bytes = sizeof(int32_t) * c->rows * d->count,
                                   .data = c->selected};
    const result_tensors view = {.tensors = {selected}, .count = 1};
    int status = o->check ? check_is_possible(&view, file, o->in) : RUN_DONE;
    if (!status)
        status = o->cpu ? run_on_cpu(c) : with_device(o, device, run_on_device, c);
    if (status)
        return status;
    if (o->out && safetensors_write(o->out, &(safetensors_file){.tensors = &selected, .tensor_count = 1}, why))
        return complain(RUN_FAILED, "%s: %s", o->out, why);
    if (o->cpu)
        puts("device: none; the CPU, in double precision");
    else
        printf("device: %s\nlevel: %s\n", device, dmattn_level_string(c->level));
    if (*c->why_not_higher)
        printf("why not higher: %s\n", c->why_not_higher);
    const bool wrong = o->check && !check_tensor(&selected, safetensors_find(file, "selected"), 0, false);
    const int ended = run_end_output();
    return wrong ? RUN_WRONG : ended;
}

int run_selector(const run_options *o, const safetensors_file *file)
{
    selector_case c = {.options = o};
    int status = read_inputs(file, &c);
    if (status)
        return status;
    warn_of_ignored(file, o->in);
    c.selected = malloc(c.rows * c.desc.count * sizeof *c.selected);
    status = c.selected ? run_and_write(&c, file) : complain(RUN_FAILED, "no host memory for the lists");
    free(c.selected);
    return status;
}
