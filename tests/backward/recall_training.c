/* SPDX-License-Identifier: MIT */
#include "recall_training.h"

#include "low_precision.h"
#include "support/harness.h"

#include <stdlib.h>

/* ---- attention on the device --------------------------------------------------------------------------------- */

static dmattn_buffer make_workspace(const dmattn_plan *plan)
{
    dmattn_plan_info info;
    dmattn_buffer workspace = {0};
    dmattn_plan_get_info(plan, &info);
    if (info.workspace_size)
        ASSERT_OK(dmattn_buffer_create(h.device, info.workspace_size, &workspace));
    return workspace;
}

static void open_device(training *t)
{
    const dmattn_dma_backward_desc desc = {.dma = recall_attention()};
    ASSERT_OK(dmattn_dma_plan(h.context, &desc.dma, &t->forward));
    ASSERT_OK(dmattn_dma_backward_plan(h.context, &desc, &t->backward));
    t->forward_workspace = make_workspace(t->forward);
    t->backward_workspace = make_workspace(t->backward);
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const uint64_t bytes = problem_bytes(&t->problem, (tensor_id)i);
        if (bytes)
            ASSERT_OK(dmattn_buffer_create(h.device, bytes, &t->buffer[i]));
    }
}

static void upload(const training *t, tensor_id i)
{
    ASSERT_OK(dmattn_upload(h.device, &t->buffer[i], 0, t->problem.tensor[i], problem_bytes(&t->problem, i)));
}

static void download(const training *t, tensor_id i, void *to)
{
    ASSERT_OK(dmattn_download(h.device, &t->buffer[i], 0, to, problem_bytes(&t->problem, i)));
}

static void forward_on_device(training *t)
{
    const dmattn_buffer *b = t->buffer;
    const dmattn_dma_args args = {
        .q = b[TENSOR_Q],
        .k = b[TENSOR_K],
        .v = b[TENSOR_V],
        .out = b[TENSOR_OUT],
        .lse = b[TENSOR_LSE],
        .dt_weight = b[TENSOR_DT_WEIGHT],
        .a = b[TENSOR_A],
        .dt_bias = b[TENSOR_DT_BIAS],
        .importance = b[TENSOR_IMPORTANCE],
        .begin = b[TENSOR_BEGIN],
        .end = b[TENSOR_END],
        .workspace = t->forward_workspace,
    };
    static const tensor_id inputs[] = {TENSOR_Q, TENSOR_K, TENSOR_V, TENSOR_DT_WEIGHT, TENSOR_A, TENSOR_DT_BIAS};
    static const tensor_id products[] = {TENSOR_IMPORTANCE, TENSOR_BEGIN, TENSOR_END};
    VkCommandBuffer commands;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        upload(t, inputs[i]);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_dma_record(t->forward, commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
    for (size_t i = 0; i < sizeof products / sizeof *products; i++)
        download(t, products[i], t->problem.tensor[products[i]]);
    download(t, TENSOR_OUT, t->out);
}

static void backward_on_device(training *t)
{
    const dmattn_buffer *b = t->buffer;
    const dmattn_dma_backward_args args = {
        .q = b[TENSOR_Q],
        .k = b[TENSOR_K],
        .v = b[TENSOR_V],
        .out = b[TENSOR_OUT],
        .dout = b[TENSOR_DOUT],
        .lse = b[TENSOR_LSE],
        .dt_weight = b[TENSOR_DT_WEIGHT],
        .a = b[TENSOR_A],
        .dt_bias = b[TENSOR_DT_BIAS],
        .importance = b[TENSOR_IMPORTANCE],
        .begin = b[TENSOR_BEGIN],
        .end = b[TENSOR_END],
        .dq = b[TENSOR_DQ],
        .dk = b[TENSOR_DK],
        .dv = b[TENSOR_DV],
        .ddt_weight = b[TENSOR_DDT_WEIGHT],
        .da = b[TENSOR_DA],
        .ddt_bias = b[TENSOR_DDT_BIAS],
        .workspace = t->backward_workspace,
    };
    VkCommandBuffer commands;
    upload(t, TENSOR_DOUT);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_dma_backward_record(t->backward, commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
    for (int i = TENSOR_DQ; i < TENSOR_COUNT; i++)
        if (t->gradients.tensor[i])
            download(t, (tensor_id)i, t->gradients.tensor[i]);
}

/* ---- attention on the host ----------------------------------------------------------------------------------- */

static void forward_on_cpu(training *t)
{
    const uint64_t count = problem_bytes(&t->problem, TENSOR_OUT) / sizeof(float);
    double *out = malloc(count * sizeof *out);
    ASSERT_OK(problem_make_mask(&t->problem));
    const reference_inputs in = problem_inputs(&t->problem);
    ASSERT_OK(reference_attention(&t->problem.desc, &in, out, NULL));
    for (uint64_t i = 0; i < count; i++)
        t->out[i] = (float)out[i];
    free(out);
}

static void backward_on_cpu(training *t)
{
    ASSERT_OK(gradients_on_cpu(&t->problem, &t->gradients));
}

static void forward_in_float(training *t)
{
    float *lse = malloc(problem_bytes(&t->problem, TENSOR_LSE));
    ASSERT_OK(problem_make_mask(&t->problem));
    const reference_inputs in = problem_inputs(&t->problem);
    low_precision_attention(&t->problem.desc, &in, t->out, lse);
    free(lse);
}

static void backward_in_float(training *t)
{
    gradients seen;
    gradients_destroy(&t->gradients); /* new ones are zero */
    ASSERT_OK(gradients_create(&t->problem, &t->gradients));
    ASSERT_OK(gradients_create(&t->problem, &seen));
    low_precision_backward(&t->problem, t->out, &t->gradients, &seen);
    gradients_destroy(&seen);
}

/* ---- a training ---------------------------------------------------------------------------------------------- */

void training_begin(training *t, attention_way way, uint64_t seed)
{
    const dmattn_dma_desc desc = recall_attention();
    *t = (training){.way = way};
    recall_model_make(&t->model, seed);
    ASSERT_OK(problem_create_dma(&desc, NULL, &t->problem));
    ASSERT_OK(problem_add_backward(&t->problem, NULL, NULL));
    if (way == ATTENTION_IN_FLOAT)
        t->problem.backward.gradients |= DMATTN_GRADIENT_IMPORTANCE; /* low_precision_backward() wants it */
    ASSERT_OK(gradients_create(&t->problem, &t->gradients));
    t->out = malloc(problem_bytes(&t->problem, TENSOR_OUT));
    if (way == ATTENTION_ON_DEVICE)
        open_device(t);
}

void training_end(training *t)
{
    for (int i = 0; i < TENSOR_COUNT; i++)
        dmattn_buffer_destroy(h.device, &t->buffer[i]);
    dmattn_buffer_destroy(h.device, &t->forward_workspace);
    dmattn_buffer_destroy(h.device, &t->backward_workspace);
    dmattn_plan_destroy(t->forward);
    dmattn_plan_destroy(t->backward);
    gradients_destroy(&t->gradients);
    problem_destroy(&t->problem);
    free(t->out);
}

void training_run(training *t, const recall_batch *batch)
{
    static void (*const forward[])(training *) = {forward_on_device, forward_on_cpu, forward_in_float};
    static void (*const backward[])(training *) = {backward_on_device, backward_on_cpu, backward_in_float};
    recall_project(&t->model, batch, &t->problem);
    forward[t->way](t);
    t->loss = recall_loss(&t->model, batch, t->out, &t->problem, &t->right);
    backward[t->way](t);
    recall_backward(&t->model, batch, &t->gradients);
}
