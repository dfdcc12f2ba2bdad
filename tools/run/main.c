/* SPDX-License-Identifier: MIT
 * dmattn-run: computes one case from a file, on a device or on the CPU, and writes the results to a file. */
#include "block_lists.h"
#include "case_file.h"
#include "check.h"
#include "complain.h"
#include "device.h"
#include "merge.h"
#include "options.h"
#include "results.h"
#include "selector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- running ------------------------------------------------------------------------------------------------- */

/* Where and how a case ran, for the output. */
typedef struct run_facts {
    char device[256];
    dmattn_level level, of_gradients;
    char why_not_higher[512], why_gradients_not_higher[512];
} run_facts;

static void print_facts(const run_options *o, const run_facts *facts)
{
    if (o->cpu) {
        puts("device: none; the CPU, in double precision");
        return;
    }
    printf("device: %s\nlevel: %s\n", facts->device, dmattn_level_string(facts->level));
    if (facts->of_gradients)
        printf("level of gradients: %s\n", dmattn_level_string(facts->of_gradients));
    if (*facts->why_not_higher)
        printf("why not higher: %s\n", facts->why_not_higher);
    if (*facts->why_gradients_not_higher && strcmp(facts->why_gradients_not_higher, facts->why_not_higher) != 0)
        printf("why gradients not higher: %s\n", facts->why_gradients_not_higher);
}

static int run_on_cpu(problem *p, case_results *r)
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
    return status ? complain(exit_status(status), "cannot compute on the CPU: %s", dmattn_status_string(status))
                  : RUN_DONE;
}

static dmattn_status differentiate_on_device(const device_problem *dp, gradients *g, run_facts *facts)
{
    device_gradients dg;
    dmattn_status status = device_gradients_create(dp, &dg);
    if (!status)
        status = device_gradients_run(&dg);
    if (!status)
        status = device_gradients_download(&dg, g);
    dmattn_plan_info info;
    dmattn_plan_get_info(dg.plan, &info);
    facts->of_gradients = info.level;
    snprintf(facts->why_gradients_not_higher, sizeof facts->why_gradients_not_higher, "%s", info.why_not_higher);
    device_gradients_destroy(&dg);
    return status;
}

/* What runs on the device. */
typedef struct device_run {
    problem *problem;
    case_results *results;
    run_facts *facts;
} device_run;

static int run_on_device(dmattn_device *device, const error_log *error, void *user)
{
    const device_run *run = user;
    problem *p = run->problem;
    case_results *r = run->results;
    run_facts *facts = run->facts;
    device_problem dp;
    dmattn_status status = device_problem_create(p, device, &dp);
    if (!status)
        status = device_problem_run(&dp);
    if (!status)
        status = device_problem_download(&dp, r->out, r->lse);
    if (!status && p->dma)
        status = device_problem_download_mask(&dp, p);
    if (!status && p->backward.gradients)
        status = differentiate_on_device(&dp, &r->gradients, facts);
    dmattn_plan_info info;
    dmattn_plan_get_info(dp.plan, &info);
    facts->level = info.level;
    snprintf(facts->why_not_higher, sizeof facts->why_not_higher, "%s", info.why_not_higher);
    device_problem_destroy(&dp);
    return status ? complain(exit_status(status), "%s", error_log_sentence(error, status)) : RUN_DONE;
}

/* ---- files --------------------------------------------------------------------------------------------------- */

static int read_file(const run_options *o, safetensors_file *file)
{
    char why[SAFETENSORS_ERROR_SIZE];
    const safetensors_status read = safetensors_read(o->in, file, why);
    return read ? complain(read == SAFETENSORS_BAD_FILE ? RUN_BAD_INPUT : RUN_FAILED, "%s: %s", o->in, why) : RUN_DONE;
}

static int read_case(const run_options *o, const safetensors_file *file, problem *p)
{
    error_log error = {0};
    const dmattn_status status = case_file_read(file, &(messenger){error_log_keep, &error}, p);
    if (status)
        return complain(exit_status(status), "%s: %s", o->in, error_log_sentence(&error, status));
    p->desc.level = o->level;
    p->dma_desc.attention.level = o->level;
    return RUN_DONE;
}

static bool is_result(const result_tensors *results, const char *name)
{
    for (size_t i = 0; i < results->count; i++)
        if (!strcmp(results->tensors[i].name, name))
            return true;
    return false;
}

static void warn_of_ignored(const run_options *o, const safetensors_file *file, const problem *p,
                            const result_tensors *results)
{
    for (size_t i = 0; i < file->tensor_count; i++) {
        const char *name = file->tensors[i].name;
        if (!case_file_takes_tensor(p, name) && !is_result(results, name))
            complain(0, "warning: %s: the tensor '%s' is ignored", o->in, name);
    }
    for (size_t i = 0; i < file->metadata_count; i++)
        if (!case_file_takes_metadata(p, file->metadata[i].name))
            complain(0, "warning: %s: the metadata '%s' is ignored", o->in, file->metadata[i].name);
}

/* Runs the case, prints what ran, and writes and checks the results. */
static int run(const run_options *o, const safetensors_file *file, problem *p, case_results *r)
{
    const safetensors_tensor *bias = safetensors_find(file, "bias");
    run_facts facts = {.level = DMATTN_LEVEL_BEST};
    char why[SAFETENSORS_ERROR_SIZE];
    if (!results_create(p, r))
        return complain(RUN_FAILED, "no host memory for the results");
    result_tensors view = results_view(p, r, bias ? bias->rank : 0);
    warn_of_ignored(o, file, p, &view);
    int status = o->check ? check_is_possible(&view, file, o->in) : RUN_DONE;
    if (!status)
        status = o->cpu ? run_on_cpu(p, r) : with_device(o, facts.device, run_on_device, &(device_run){p, r, &facts});
    if (status)
        return status;
    if (o->out
        && safetensors_write(o->out, &(safetensors_file){.tensors = view.tensors, .tensor_count = view.count}, why))
        return complain(RUN_FAILED, "%s: %s", o->out, why);
    print_facts(o, &facts);
    const int checked = o->check ? check_results(p, r, &view, file) : RUN_DONE;
    const int ended = run_end_output();
    return checked ? checked : ended;
}

int main(int argc, char **argv)
{
    complain_as("dmattn-run");
    run_options o;
    int status = run_options_parse(argc, argv, &o);
    if (status != RUN_GO_ON)
        return status;
    safetensors_file file = {0};
    problem p = {0};
    case_results r = {0};
    status = read_file(&o, &file);
    if (!status && is_merge(&file))
        status = run_merge(&o, &file);
    else if (!status && is_selector(&file))
        status = run_selector(&o, &file);
    else if (!status && is_block_lists(&file))
        status = run_block_lists(&o, &file);
    else if (!status) {
        status = read_case(&o, &file, &p);
        if (!status)
            status = run(&o, &file, &p, &r);
    }
    results_destroy(&r);
    problem_destroy(&p);
    safetensors_free(&file);
    return status;
}
