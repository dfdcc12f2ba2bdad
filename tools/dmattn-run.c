/* SPDX-License-Identifier: MIT
 * dmattn-run: computes one case from a file, on a device or on the CPU, and writes the results to a file. */
#define _POSIX_C_SOURCE 200809L
#include "case_file.h"
#include "complain.h"
#include "gradients.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "Usage: dmattn-run [options] IN.safetensors OUT.safetensors\n"
                            "\n"
                            "Computes the case in IN and writes the results to OUT: out and lse; for dynamic mask\n"
                            "attention also importance, begin and end. If IN contains dout, OUT also contains the\n"
                            "gradients of sum(out * dout): dq, dk and dv; d_bias if IN has a bias; for dynamic mask\n"
                            "attention d_dt_weight, d_a, and d_dt_bias if IN has a dt_bias.\n"
                            "\n"
                            "  --device D   Vulkan device: best (default), its index, or part of its name\n"
                            "  --level L    level: portable, matrix or matrix2 (default: the best of the device)\n"
                            "  --cpu        compute on the CPU in double precision, without Vulkan;\n"
                            "               --device and --level are ignored\n"
                            "  --help       print this text and exit\n"
                            "  --version    print the version and exit\n"
                            "\n"
                            "Exit status: 0 success, 1 the machine failed, 2 the input or an option is wrong.\n"
                            "OUT changes only on success.\n";

enum { DONE = 0, MACHINE_FAILED = 1, BAD_INPUT = 2, GO_ON = -1 };

typedef struct options {
    const char *in, *out, *device;
    dmattn_level level;
    bool cpu;
} options;

/* ---- messages ------------------------------------------------------------------------------------------------ */

/* Whether the input or the machine caused a failure. */
static int exit_status(dmattn_status status)
{
    return status == DMATTN_ERROR_INVALID || status == DMATTN_ERROR_UNSUPPORTED ? BAD_INPUT : MACHINE_FAILED;
}

static int end_output(void)
{
    return fflush(stdout) || ferror(stdout) ? complain(MACHINE_FAILED, "the output cannot be written") : DONE;
}

/* ---- options ------------------------------------------------------------------------------------------------- */

enum { OPTION_DEVICE = 256, OPTION_LEVEL, OPTION_CPU, OPTION_HELP, OPTION_VERSION };

static const struct option long_options[] = {
    {"device", required_argument, NULL, OPTION_DEVICE},
    {"level", required_argument, NULL, OPTION_LEVEL},
    {"cpu", no_argument, NULL, OPTION_CPU},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static bool parse_level(const char *text, dmattn_level *level)
{
    for (*level = DMATTN_LEVEL_PORTABLE; *level <= DMATTN_LEVEL_MATRIX2; ++*level)
        if (!strcmp(text, dmattn_level_string(*level)))
            return true;
    return false;
}

/* Returns GO_ON or the exit status. */
static int parse_options(int argc, char **argv, options *o)
{
    opterr = 0; /* the messages of getopt would begin with the path of the program */
    for (int c; (c = getopt_long(argc, argv, ":", long_options, NULL)) != -1;) {
        switch (c) {
        case OPTION_DEVICE: o->device = optarg; break;
        case OPTION_LEVEL:
            if (!parse_level(optarg, &o->level))
                return complain(BAD_INPUT, "level '%s' is not one of portable, matrix and matrix2", optarg);
            break;
        case OPTION_CPU: o->cpu = true; break;
        case OPTION_HELP: fputs(usage, stdout); return end_output();
        case OPTION_VERSION: {
            unsigned version = dmattn_version();
            printf("dmattn-run %u.%u.%u\n", version / 1000000, version / 1000 % 1000, version % 1000);
            return end_output();
        }
        case ':':
            if (!strchr(argv[optind - 1], '='))
                return complain(BAD_INPUT, "option '%s' needs a value", argv[optind - 1]);
            /* fall through - an option with an unwanted value gives ':' on Windows and '?' elsewhere */
        default:
            if (optopt > 0 && optopt < OPTION_DEVICE)
                return complain(BAD_INPUT, "unknown option '-%c'; see --help", optopt);
            return complain(BAD_INPUT, "%s '%s'; see --help",
                            optopt ? "no value is allowed for option" : "unknown option", argv[optind - 1]);
        }
    }
    if (argc - optind != 2)
        return complain(BAD_INPUT, "two files are needed, an input and an output, but %d were given; see --help",
                        argc - optind);
    o->in = argv[optind];
    o->out = argv[optind + 1];
    return GO_ON;
}

/* ---- running ------------------------------------------------------------------------------------------------- */

typedef struct results {
    uint64_t out_count, lse_count;
    float *out, *lse;
    gradients gradients; /* empty without dout */
} results;

static bool allocate_results(const problem *p, results *r)
{
    const dmattn_attention_desc *d = &p->desc;
    r->lse_count = (uint64_t)d->batch * d->queries * d->heads;
    r->out_count = r->lse_count * d->value_dim;
    if (r->out_count > SIZE_MAX / sizeof(double))
        return false;
    r->out = malloc(r->out_count * sizeof *r->out);
    r->lse = malloc(r->lse_count * sizeof *r->lse);
    return r->out && r->lse && !gradients_create(p, &r->gradients);
}

static int run_on_cpu(problem *p, results *r)
{
    dmattn_status status = p->dma ? problem_make_mask(p) : DMATTN_SUCCESS;
    if (status)
        return complain(exit_status(status), "cannot compute the mask on the CPU: %s", dmattn_status_string(status));
    double *out = malloc(r->out_count * sizeof *out), *lse = malloc(r->lse_count * sizeof *lse);
    reference_inputs in = problem_inputs(p);
    status = out && lse ? reference_attention(&p->desc, &in, out, lse) : DMATTN_ERROR_OUT_OF_MEMORY;
    for (uint64_t i = 0; !status && i < r->out_count; i++)
        r->out[i] = (float)out[i];
    for (uint64_t i = 0; !status && i < r->lse_count; i++)
        r->lse[i] = (float)lse[i];
    free(out);
    free(lse);
    if (!status && p->backward.gradients)
        status = gradients_on_cpu(p, &r->gradients);
    return status ? complain(exit_status(status), "cannot compute on the CPU: %s", dmattn_status_string(status)) : DONE;
}

static dmattn_status differentiate_on_device(const device_problem *dp, gradients *g)
{
    device_gradients dg;
    dmattn_status status = device_gradients_create(dp, &dg);
    if (!status)
        status = device_gradients_run(&dg);
    if (!status)
        status = device_gradients_download(&dg, g);
    device_gradients_destroy(&dg);
    return status;
}

static int run_on_device(dmattn_device *device, problem *p, const error_log *error, results *r)
{
    device_problem dp;
    dmattn_status status = device_problem_create(p, device, &dp);
    if (!status)
        status = device_problem_run(&dp);
    if (!status)
        status = device_problem_download(&dp, r->out, r->lse);
    if (!status && p->dma)
        status = device_problem_download_mask(&dp, p);
    if (!status && p->backward.gradients)
        status = differentiate_on_device(&dp, &r->gradients);
    device_problem_destroy(&dp);
    return status ? complain(exit_status(status), "%s", error_log_sentence(error, status)) : DONE;
}

static int run_on_vulkan(const options *o, problem *p, results *r)
{
    error_log error = {""};
    dmattn_runtime *runtime = NULL;
    dmattn_device *device = NULL;
    uint32_t index;
    dmattn_status status =
        dmattn_runtime_create(&(dmattn_runtime_desc){.message = error_log_keep, .message_user = &error}, &runtime);
    int bad = MACHINE_FAILED;
    if (!status) {
        status = dmattn_runtime_find_device(runtime, o->device, &index);
        if (status == DMATTN_ERROR_INVALID && o->device && dmattn_runtime_device_count(runtime))
            bad = BAD_INPUT; /* the selector matches no device */
    }
    if (!status)
        status = dmattn_device_create(runtime, index, &device);
    bad = status ? complain(bad, "%s", error_log_sentence(&error, status)) : run_on_device(device, p, &error, r);
    dmattn_device_destroy(device);
    dmattn_runtime_destroy(runtime);
    return bad;
}

/* ---- files --------------------------------------------------------------------------------------------------- */

/* *bias_rank receives the number of dimensions of the bias and its gradient; 0: there is no bias. */
static int read_problem(const options *o, problem *p, uint32_t *bias_rank)
{
    safetensors_file file;
    char why[SAFETENSORS_ERROR_SIZE];
    safetensors_status read = safetensors_read(o->in, &file, why);
    if (read)
        return complain(read == SAFETENSORS_BAD_FILE ? BAD_INPUT : MACHINE_FAILED, "%s: %s", o->in, why);
    error_log error = {""};
    dmattn_status status = case_file_read(&file, &(messenger){error_log_keep, &error}, p);
    const safetensors_tensor *bias = safetensors_find(&file, "bias");
    *bias_rank = bias ? bias->rank : 0;
    safetensors_free(&file);
    if (status)
        return complain(exit_status(status), "%s: %s", o->in, error_log_sentence(&error, status));
    p->desc.level = o->level;
    p->dma_desc.attention.level = o->level;
    return DONE;
}

/* The tensors of the output file. */
typedef struct output {
    safetensors_tensor tensors[TENSOR_COUNT];
    size_t count;
} output;

/* Adds a tensor unless `data` is NULL. `shape` ends at the first 0. */
static void add(output *o, const char *name, safetensors_type type, void *data, const uint64_t shape[4])
{
    if (!data)
        return;
    safetensors_tensor *t = &o->tensors[o->count++];
    *t = (safetensors_tensor){.name = name, .type = type, .data = data};
    for (; t->rank < 4 && shape[t->rank]; t->rank++)
        t->shape[t->rank] = shape[t->rank];
}

static void add_gradients(output *o, const problem *p, const gradients *g, uint32_t bias_rank)
{
    const dmattn_attention_desc *d = &p->desc;
    const dmattn_score_shape *s = &d->bias_shape;
    const uint64_t b = d->batch, keys = d->keys, heads = d->kv_heads;
    const uint64_t bias[2][4] = {{s->batch, s->heads, keys}, {s->batch, s->heads, s->queries, keys}};
    float *const *tensor = g->tensor;
    add(o, "dq", SAFETENSORS_F32, tensor[TENSOR_DQ], (uint64_t[4]){b, d->queries, d->heads, d->head_dim});
    add(o, "dk", SAFETENSORS_F32, tensor[TENSOR_DK], (uint64_t[4]){b, keys, heads, d->head_dim});
    add(o, "dv", SAFETENSORS_F32, tensor[TENSOR_DV], (uint64_t[4]){b, keys, heads, d->value_dim});
    add(o, "d_bias", SAFETENSORS_F32, tensor[TENSOR_DBIAS], bias[bias_rank == 4]);
    add(o, "d_dt_weight", SAFETENSORS_F32, tensor[TENSOR_DDT_WEIGHT], (uint64_t[4]){heads, heads * d->value_dim});
    add(o, "d_a", SAFETENSORS_F32, tensor[TENSOR_DA], (uint64_t[4]){heads});
    add(o, "d_dt_bias", SAFETENSORS_F32, tensor[TENSOR_DDT_BIAS], (uint64_t[4]){heads});
}

static int write_results(const options *o, const problem *p, const results *r, uint32_t bias_rank)
{
    const dmattn_attention_desc *d = &p->desc;
    const uint64_t plane[4] = {d->batch, d->kv_heads, d->keys};
    output out = {0};
    add(&out, "out", SAFETENSORS_F32, r->out, (uint64_t[4]){d->batch, d->queries, d->heads, d->value_dim});
    add(&out, "lse", SAFETENSORS_F32, r->lse, (uint64_t[4]){d->batch, d->heads, d->queries});
    if (p->dma) {
        add(&out, "importance", SAFETENSORS_F32, p->tensor[TENSOR_IMPORTANCE], plane);
        add(&out, "begin", SAFETENSORS_I32, p->tensor[TENSOR_BEGIN], plane);
        add(&out, "end", SAFETENSORS_I32, p->tensor[TENSOR_END], plane);
    }
    add_gradients(&out, p, &r->gradients, bias_rank);
    char why[SAFETENSORS_ERROR_SIZE];
    if (safetensors_write(o->out, &(safetensors_file){.tensors = out.tensors, .tensor_count = out.count}, why))
        return complain(MACHINE_FAILED, "%s: %s", o->out, why);
    return DONE;
}

int main(int argc, char **argv)
{
    complain_as("dmattn-run");
    options o = {0};
    int status = parse_options(argc, argv, &o);
    if (status != GO_ON)
        return status;
    problem p;
    uint32_t bias_rank = 0;
    status = read_problem(&o, &p, &bias_rank);
    if (status)
        return status;
    results r = {0};
    if (!allocate_results(&p, &r))
        status = complain(MACHINE_FAILED, "no host memory for the results");
    if (!status)
        status = o.cpu ? run_on_cpu(&p, &r) : run_on_vulkan(&o, &p, &r);
    if (!status)
        status = write_results(&o, &p, &r, bias_rank);
    free(r.out);
    free(r.lse);
    gradients_destroy(&r.gradients);
    problem_destroy(&p);
    return status;
}
