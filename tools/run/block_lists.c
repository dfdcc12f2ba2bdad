/* SPDX-License-Identifier: MIT */
#include "block_lists.h"

#include "check.h"
#include "complain.h"
#include "device.h"
#include "mask/block_lists.h"
#include "metadata.h"
#include "reference/block_lists.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDPTR, INDICES, BITS, MAP, INPUTS };
static const char *const names[INPUTS] = {"indptr", "indices", "bits", "map"};

typedef struct block_case {
    const run_options *options;
    const safetensors_tensor *input[INPUTS]; /* NULL: there is none */
    dmattn_block_lists_desc desc;            /* resolved */
    uint64_t rows;
    int32_t *selected; /* the lists, owned */
} block_case;

bool is_block_lists(const safetensors_file *file)
{
    const char *op = safetensors_metadata(file, "op");
    return op && !strcmp(op, "block_lists");
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int read_metadata(const safetensors_file *file, block_case *c)
{
    dmattn_block_lists_desc *d = &c->desc;
    const struct {
        const char *name;
        uint32_t *number;
    } numbers[] = {{"queries", &d->queries},
                   {"keys", &d->keys},
                   {"query_block", &d->query_block},
                   {"block", &d->block},
                   {"count", &d->count}};
    bool packed = false;
    int status = metadata_flag(file, c->options->in, "packed", &packed);
    if (packed && c->input[MAP])
        d->form = DMATTN_BLOCK_FORM_BITMAP;
    for (size_t i = 0; !status && i < sizeof numbers / sizeof *numbers; i++)
        status = metadata_number(file, c->options->in, numbers[i].name, numbers[i].number);
    return status;
}

/* indptr and indices, or the map. */
static int read_form(const safetensors_file *file, block_case *c)
{
    const char *path = c->options->in;
    for (int i = 0; i < INPUTS; i++)
        c->input[i] = safetensors_find(file, names[i]);
    const safetensors_tensor *planes = c->input[MAP] ? c->input[MAP] : c->input[INDPTR];
    if (!planes || !c->input[INDPTR] != !c->input[INDICES] || !c->input[MAP] == !c->input[INDPTR])
        return complain(RUN_BAD_INPUT, "%s: either the tensors 'indptr' and 'indices' or 'map' are needed", path);
    if (c->input[MAP] ? planes->rank != 4 || (planes->type != SAFETENSORS_U8 && planes->type != SAFETENSORS_BOOL)
                      : planes->rank != 3 || planes->type != SAFETENSORS_I32)
        return complain(RUN_BAD_INPUT, "%s: indptr must be I32 [batch, heads, M + 1], and map U8 [batch, heads, M, N]",
                        path);
    for (uint32_t i = 0; i < planes->rank; i++)
        if (!planes->shape[i] || planes->shape[i] > INT32_MAX)
            return complain(RUN_BAD_INPUT, "%s: an extent of %s is not from 1 to 2^31 - 1", path, planes->name);
    const safetensors_tensor *indices = c->input[INDICES];
    if (indices
        && (indices->rank != 1 || indices->type != SAFETENSORS_I32 || !indices->shape[0]
            || indices->shape[0] > INT32_MAX))
        return complain(RUN_BAD_INPUT, "%s: indices must be I32 with one dimension", path);
    c->desc.form = c->input[MAP] ? DMATTN_BLOCK_FORM_MAP : DMATTN_BLOCK_FORM_ROWS;
    c->desc.batch = (uint32_t)planes->shape[0];
    c->desc.heads = (uint32_t)planes->shape[1];
    c->desc.indices = indices ? (uint32_t)indices->shape[0] : 0;
    c->desc.bits = c->input[BITS] != NULL;
    return RUN_DONE;
}

static int check_sizes(const block_case *c)
{
    const tensor_id ids[] = {TENSOR_INDPTR, TENSOR_INDICES, TENSOR_BITS, TENSOR_MAP};
    for (int i = 0; i < INPUTS; i++)
        if (c->input[i] && c->input[i]->bytes != dmattn_block_lists_tensor_bytes(&c->desc, ids[i]))
            return complain(RUN_BAD_INPUT, "%s: %s has %llu bytes, but must have %llu", c->options->in, names[i],
                            (unsigned long long)c->input[i]->bytes,
                            (unsigned long long)dmattn_block_lists_tensor_bytes(&c->desc, ids[i]));
    return RUN_DONE;
}

static int read_inputs(const safetensors_file *file, block_case *c)
{
    error_log error = {0};
    int status = read_form(file, c);
    if (!status)
        status = read_metadata(file, c);
    if (status)
        return status;
    const dmattn_block_lists_desc given = c->desc;
    const dmattn_status resolved =
        dmattn_block_lists_desc_resolve(&given, &c->desc, &(messenger){error_log_keep, &error});
    if (resolved)
        return complain(exit_status(resolved), "%s: %s", c->options->in, error_log_sentence(&error, resolved));
    c->rows = (uint64_t)c->desc.batch * c->desc.heads * c->desc.queries;
    return check_sizes(c);
}

static void warn_of_ignored(const safetensors_file *file, const char *path)
{
    static const char *const tensors[] = {"indptr", "indices", "bits", "map", "selected", NULL};
    static const char *const metadata[] = {"op", "queries", "keys", "query_block", "block", "count", "packed", NULL};
    warn_of_others(file, path, tensors, metadata);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static const void *data_of(const safetensors_tensor *t)
{
    return t ? t->data : NULL;
}

static void run_on_cpu(block_case *c)
{
    const reference_block_inputs in = {.indptr = data_of(c->input[INDPTR]),
                                       .indices = data_of(c->input[INDICES]),
                                       .bits = data_of(c->input[BITS]),
                                       .map = data_of(c->input[MAP])};
    for (uint64_t i = 0; i < c->rows; i++)
        reference_block_list(&c->desc, &in, i / c->desc.queries, (uint32_t)(i % c->desc.queries),
                             c->selected + i * c->desc.count);
}

static dmattn_status upload(dmattn_device *device, const safetensors_tensor *t, dmattn_buffer *buffer)
{
    if (!t)
        return DMATTN_SUCCESS;
    TRY(dmattn_buffer_create(device, t->bytes, buffer));
    return dmattn_upload(device, buffer, 0, t->data, t->bytes);
}

static dmattn_status compute(const block_case *c, dmattn_device *device, const dmattn_plan *plan)
{
    const uint64_t bytes = sizeof(int32_t) * c->rows * c->desc.count;
    dmattn_block_lists_args args = {0};
    dmattn_buffer *inputs[INPUTS] = {&args.indptr, &args.indices, &args.bits, &args.map};
    VkCommandBuffer commands;
    for (int i = 0; i < INPUTS; i++)
        TRY(upload(device, c->input[i], inputs[i]));
    TRY(dmattn_buffer_create(device, bytes, &args.selected));
    TRY(dmattn_commands_begin(device, &commands));
    TRY(dmattn_block_lists_record(plan, commands, &args));
    TRY(dmattn_commands_submit(device));
    return dmattn_download(device, &args.selected, 0, c->selected, bytes);
}

/* The device destroys its buffers. */
static int run_on_device(dmattn_device *device, const error_log *error, void *user)
{
    const block_case *c = user;
    dmattn_plan *plan = NULL;
    dmattn_status status = dmattn_block_lists_plan(dmattn_device_context(device), &c->desc, &plan);
    if (!status)
        status = compute(c, device, plan);
    dmattn_plan_destroy(plan);
    return status ? complain(exit_status(status), "%s", error_log_sentence(error, status)) : RUN_DONE;
}

static int run_and_write(block_case *c, const safetensors_file *file)
{
    const run_options *o = c->options;
    const dmattn_block_lists_desc *d = &c->desc;
    char why[SAFETENSORS_ERROR_SIZE], device[256] = "";
    safetensors_tensor selected = {.name = "selected",
                                   .type = SAFETENSORS_I32,
                                   .rank = 4,
                                   .shape = {d->batch, d->heads, d->queries, d->count},
                                   .bytes = sizeof(int32_t) * c->rows * d->count,
                                   .data = c->selected};
    const result_tensors view = {.tensors = {selected}, .count = 1};
    int status = o->check ? check_is_possible(&view, file, o->in) : RUN_DONE;
    if (!status && o->cpu)
        run_on_cpu(c);
    else if (!status)
        status = with_device(o, device, run_on_device, c);
    if (status)
        return status;
    if (o->out && safetensors_write(o->out, &(safetensors_file){.tensors = &selected, .tensor_count = 1}, why))
        return complain(RUN_FAILED, "%s: %s", o->out, why);
    if (o->cpu)
        puts("device: none; the CPU, in double precision");
    else
        printf("device: %s\nlevel: portable\n", device);
    const bool wrong = o->check && !check_tensor(&selected, safetensors_find(file, "selected"), 0, false);
    const int ended = run_end_output();
    return wrong ? RUN_WRONG : ended;
}

int run_block_lists(const run_options *o, const safetensors_file *file)
{
    block_case c = {.options = o};
    int status = read_inputs(file, &c);
    if (status)
        return status;
    warn_of_ignored(file, o->in);
    c.selected = malloc(c.rows * c.desc.count * sizeof *c.selected);
    status = c.selected ? run_and_write(&c, file) : complain(RUN_FAILED, "no host memory for the lists");
    free(c.selected);
    return status;
}
