/* SPDX-License-Identifier: MIT */
#include "merge.h"

#include "check.h"
#include "complain.h"
#include "device.h"
#include "reference/element.h"
#include "reference/merge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_A, LSE_A, OUT_B, LSE_B, INPUTS };
static const char *const names[INPUTS] = {"out_a", "lse_a", "out_b", "lse_b"};

typedef struct merge_case {
    const run_options *options;
    const safetensors_tensor *input[INPUTS];
    dmattn_merge_desc desc;
    uint64_t rows;
    float *out, *lse; /* the results, owned */
    double *want;     /* out in double, owned */
    double allowed_out, allowed_lse;
} merge_case;

bool is_merge(const safetensors_file *file)
{
    const char *op = safetensors_metadata(file, "op");
    return op && !strcmp(op, "merge");
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bool has_shape(const safetensors_tensor *t, uint32_t rank, const uint64_t *shape)
{
    return t->rank == rank && !memcmp(t->shape, shape, rank * sizeof *shape);
}

static bool find_type(const safetensors_tensor *t, dmattn_type *type)
{
    *type = t->type == SAFETENSORS_F16    ? DMATTN_TYPE_F16
            : t->type == SAFETENSORS_BF16 ? DMATTN_TYPE_BF16
                                          : DMATTN_TYPE_F32;
    return t->type == SAFETENSORS_F32 || t->type == SAFETENSORS_F16 || t->type == SAFETENSORS_BF16;
}

static int read_inputs(const safetensors_file *file, merge_case *c)
{
    const char *path = c->options->in;
    for (int i = 0; i < INPUTS; i++)
        if (!(c->input[i] = safetensors_find(file, names[i])))
            return complain(RUN_BAD_INPUT, "%s: there is no tensor '%s'", path, names[i]);
    const safetensors_tensor *a = c->input[OUT_A];
    dmattn_merge_desc *d = &c->desc;
    if (a->rank != 4 || !find_type(a, &d->type))
        return complain(RUN_BAD_INPUT, "%s: out_a must have 4 dimensions and be F32, F16 or BF16", path);
    for (int i = 0; i < 4; i++)
        if (!a->shape[i] || a->shape[i] > INT32_MAX)
            return complain(RUN_BAD_INPUT, "%s: an extent of out_a is not from 1 to 2^31 - 1", path);
    const uint64_t lse[] = {a->shape[0], a->shape[2], a->shape[1]};
    if (!has_shape(c->input[OUT_B], 4, a->shape) || c->input[OUT_B]->type != a->type)
        return complain(RUN_BAD_INPUT, "%s: out_b must have the shape and the type of out_a", path);
    for (int i = LSE_A; i <= LSE_B; i += LSE_B - LSE_A)
        if (!has_shape(c->input[i], 3, lse) || c->input[i]->type != SAFETENSORS_F32)
            return complain(RUN_BAD_INPUT, "%s: %s must be F32 [B, H, Sq] for out_a [B, Sq, H, Dv]", path, names[i]);
    d->batch = (uint32_t)a->shape[0];
    d->queries = (uint32_t)a->shape[1];
    d->heads = (uint32_t)a->shape[2];
    d->value_dim = (uint32_t)a->shape[3];
    d->lse = true;
    c->rows = (uint64_t)d->batch * d->queries * d->heads;
    return RUN_DONE;
}

static void warn_of_ignored(const safetensors_file *file, const char *path)
{
    static const char *const known[] = {"out_a", "lse_a", "out_b", "lse_b", "out", "lse"};
    for (size_t i = 0; i < file->tensor_count; i++) {
        bool found = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            found |= !strcmp(file->tensors[i].name, known[k]);
        if (!found)
            complain(0, "warning: %s: the tensor '%s' is ignored", path, file->tensors[i].name);
    }
    for (size_t i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[i].name, "op") != 0)
            complain(0, "warning: %s: the metadata '%s' is ignored", path, file->metadata[i].name);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* Computes the result in double, and the error of the same in float: out rounded to the type, and the rounding errors
 * of the two weights, their sum and the division. Twice this error is allowed, and a few units of f32. */
static void run_on_cpu(merge_case *c)
{
    static const double units[] = {
        [DMATTN_TYPE_F32] = 0x1p-24, [DMATTN_TYPE_F16] = 0x1p-11, [DMATTN_TYPE_BF16] = 0x1p-8};
    const dmattn_merge_desc *d = &c->desc;
    double *a = c->want + c->rows * d->value_dim, *b = a + d->value_dim, lse, largest = 0, most_lse = 1;
    for (uint64_t row = 0; row < c->rows; row++) {
        const uint64_t query = row / d->heads % d->queries, head = row % d->heads, item = row / d->heads / d->queries;
        const uint64_t at = (item * d->heads + head) * d->queries + query;
        for (uint32_t i = 0; i < d->value_dim; i++) {
            a[i] = element_load(d->type, c->input[OUT_A]->data, row * d->value_dim + i);
            b[i] = element_load(d->type, c->input[OUT_B]->data, row * d->value_dim + i);
            largest = isfinite(a[i]) ? fmax(largest, fabs(a[i])) : largest;
            largest = isfinite(b[i]) ? fmax(largest, fabs(b[i])) : largest;
        }
        reference_merge_row(a, (double)((const float *)c->input[LSE_A]->data)[at], b,
                            (double)((const float *)c->input[LSE_B]->data)[at], d->value_dim,
                            c->want + row * d->value_dim, &lse);
        for (uint32_t i = 0; i < d->value_dim; i++)
            c->out[row * d->value_dim + i] = (float)c->want[row * d->value_dim + i];
        c->lse[at] = (float)lse;
        most_lse = isfinite(lse) ? fmax(most_lse, fabs(lse)) : most_lse;
    }
    c->allowed_out = 2 * largest * (units[d->type] + 16 * 0x1p-24);
    c->allowed_lse = 2 * most_lse * 16 * 0x1p-24;
}

static dmattn_status upload(dmattn_device *device, uint64_t bytes, const void *data, dmattn_buffer *buffer)
{
    const dmattn_status status = dmattn_buffer_create(device, bytes, buffer);
    return status || !data ? status : dmattn_upload(device, buffer, 0, data, bytes);
}

static dmattn_status compute(merge_case *c, dmattn_device *device, dmattn_plan *plan, void *out)
{
    const uint64_t bytes = c->input[OUT_A]->bytes, lse_bytes = sizeof(float) * c->rows;
    dmattn_merge_args args = {0};
    VkCommandBuffer commands;
    TRY(upload(device, bytes, c->input[OUT_A]->data, &args.out_a));
    TRY(upload(device, lse_bytes, c->input[LSE_A]->data, &args.lse_a));
    TRY(upload(device, bytes, c->input[OUT_B]->data, &args.out_b));
    TRY(upload(device, lse_bytes, c->input[LSE_B]->data, &args.lse_b));
    TRY(upload(device, bytes, NULL, &args.out));
    TRY(upload(device, lse_bytes, NULL, &args.lse));
    TRY(dmattn_commands_begin(device, &commands));
    TRY(dmattn_merge_record(plan, commands, &args));
    TRY(dmattn_commands_submit(device));
    TRY(dmattn_download(device, &args.lse, 0, c->lse, lse_bytes));
    return dmattn_download(device, &args.out, 0, out, bytes);
}

/* The device destroys its buffers. */
static int run_on_device(dmattn_device *device, const error_log *error, void *user)
{
    merge_case *c = user;
    dmattn_plan *plan = NULL;
    void *out = malloc(c->input[OUT_A]->bytes);
    dmattn_status status =
        out ? dmattn_merge_plan(dmattn_device_context(device), &c->desc, &plan) : DMATTN_ERROR_OUT_OF_MEMORY;
    if (!status)
        status = compute(c, device, plan, out);
    for (uint64_t i = 0; !status && i < c->rows * c->desc.value_dim; i++)
        c->out[i] = (float)element_load(c->desc.type, out, i);
    dmattn_plan_destroy(plan);
    free(out);
    return status ? complain(exit_status(status), "%s", error_log_sentence(error, status)) : RUN_DONE;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static int check(const merge_case *c, const safetensors_tensor results[2], const safetensors_file *file)
{
    const double allowed[] = {c->allowed_out, c->allowed_lse};
    int wrong = 0;
    for (int i = 0; i < 2; i++) {
        const safetensors_tensor *want = safetensors_find(file, results[i].name);
        if (want)
            wrong += !check_tensor(&results[i], want, allowed[i], false);
        else
            printf("%s: not in the file\n", results[i].name);
    }
    return wrong ? RUN_WRONG : RUN_DONE;
}

static int run_and_write(merge_case *c, const safetensors_file *file)
{
    const run_options *o = c->options;
    const uint64_t *s = c->input[OUT_A]->shape;
    const uint64_t elements = c->rows * c->desc.value_dim;
    char why[SAFETENSORS_ERROR_SIZE], device[256] = "";
    safetensors_tensor tensors[] = {{.name = "out",
                                     .type = SAFETENSORS_F32,
                                     .rank = 4,
                                     .shape = {s[0], s[1], s[2], s[3]},
                                     .bytes = elements * sizeof(float),
                                     .data = c->out},
                                    {.name = "lse",
                                     .type = SAFETENSORS_F32,
                                     .rank = 3,
                                     .shape = {s[0], s[2], s[1]},
                                     .bytes = c->rows * sizeof(float),
                                     .data = c->lse}};
    const result_tensors view = {.tensors = {tensors[0], tensors[1]}, .count = 2};
    int status = o->check ? check_is_possible(&view, file, o->in) : RUN_DONE;
    if (status)
        return status;
    run_on_cpu(c);
    status = o->cpu ? RUN_DONE : with_device(o, device, run_on_device, c);
    if (status)
        return status;
    if (o->out && safetensors_write(o->out, &(safetensors_file){.tensors = tensors, .tensor_count = 2}, why))
        return complain(RUN_FAILED, "%s: %s", o->out, why);
    if (o->cpu)
        puts("device: none; the CPU, in double precision");
    else
        printf("device: %s\nlevel: portable\n", device);
    const int checked = o->check ? check(c, tensors, file) : RUN_DONE, ended = run_end_output();
    return checked ? checked : ended;
}

int run_merge(const run_options *o, const safetensors_file *file)
{
    merge_case c = {.options = o};
    int status = read_inputs(file, &c);
    if (status)
        return status;
    warn_of_ignored(file, o->in);
    c.out = malloc(c.rows * c.desc.value_dim * sizeof *c.out);
    c.lse = malloc(c.rows * sizeof *c.lse);
    c.want = malloc((c.rows + 2) * c.desc.value_dim * sizeof *c.want); /* and two rows of inputs */
    status =
        c.out && c.lse && c.want ? run_and_write(&c, file) : complain(RUN_FAILED, "no host memory for the results");
    free(c.out);
    free(c.lse);
    free(c.want);
    return status;
}
