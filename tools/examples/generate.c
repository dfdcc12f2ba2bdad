/* SPDX-License-Identifier: MIT
 * One prompt: its commands are recorded once, and the device itself finds the next token of each step. */
#include "model/reference.h"
#include "model/text.h"
#include "options.h"
#include "vulkan/die.h"
#include "vulkan/work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double run(app *a, VkCommandBuffer commands)
{
    const double start = now();
    app_submit(a, &a->compute, commands);
    app_wait(a);
    return now() - start;
}

/* Downloads the logits of all tokens so far; the caller frees them. */
static float *logits(const model *m)
{
    float *to = malloc(m->logits.size);
    if (!to)
        die("no host memory");
    app_download(m->layers.app, &m->logits, to, m->logits.size);
    return to;
}

/* Compares with the reference, and with a prefill of the whole sequence at once. */
static bool check(model *m, const options *o, uint32_t prompt)
{
    sequence *s = model_sequence(m);
    const uint32_t n = s->position;
    uint32_t *tokens = malloc((n + 1) * sizeof *tokens);
    if (!tokens)
        die("no host memory");
    memcpy(tokens, s->token, (n + 1) * sizeof *tokens);
    float *stepwise = logits(m);
    dmattn_plan *plan;
    s->position = 0;
    run(m->layers.app, model_record_prefill(m, n, &plan));
    dmattn_plan_destroy(plan);
    float *whole = logits(m);
    const bool ok = reference_check(m->layers.weights, o->window, tokens, n, prompt, stepwise, whole);
    free(whole);
    free(stepwise);
    free(tokens);
    return ok;
}

bool generate(app *a, const pretrained *p, const options *o)
{
    uint32_t prompt;
    uint32_t *tokens = prompt_tokens(p, o->prompts[0], 0, &prompt);
    if (p->config.window && prompt + o->tokens - 1 > p->config.most_positions)
        refuse("%u tokens are more than the %u for which the model's rotation is known", prompt + o->tokens - 1,
               p->config.most_positions);
    model m;
    model_create(&m, a, &p->weights, o->window, prompt + o->tokens - 1);
    sequence *s = model_sequence(&m);
    s->position = 0;
    memcpy(s->token, tokens, prompt * sizeof *tokens);
    free(tokens);

    dmattn_plan *plan;
    const VkCommandBuffer prefill = model_record_prefill(&m, prompt, &plan), step = model_record_step(&m);
    run(a, prefill); /* not timed: the weights may still be uploading, and some drivers compile only now */
    s->position = 0;
    const double prefill_time = run(a, prefill);
    print_prompt(o->prompts[0]);
    print_token(p, s->token[prompt]);
    double time = 0;
    uint32_t generated = 1;
    for (; generated < o->tokens && !is_end(&p->config, s->token[s->position]); generated++) {
        const double seconds = run(a, step);
        time += generated > 1 ? seconds : 0; /* the first step is not timed either */
        print_token(p, s->token[s->position]);
    }
    printf("\nprefill: %u tokens in %.2f ms, %.0f tokens/s\n", prompt, prefill_time * 1e3, prompt / prefill_time);
    if (generated > 2)
        printf("decoding: %.2f ms per token, %.0f tokens/s\n", time / (generated - 2) * 1e3, (generated - 2) / time);
    dmattn_plan_destroy(plan);
    const bool ok = !o->check || check(&m, o, prompt);
    model_destroy(&m);
    return ok;
}
