/* SPDX-License-Identifier: MIT
 * Several prompts at once, from one cache: their texts, figures, and a check. */
#include "model/text.h"
#include "scheduler.h"
#include "vulkan/die.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether each text is the same when its prompt is served alone, and all pages were given back. */
static bool check(scheduler *c)
{
    uint32_t same = 0, shared = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        const request *r = &c->requests[i];
        request alone = {.prompt = r->prompt, .count = r->prompt, .index = -1};
        alone.tokens = calloc(r->prompt + c->o->tokens, sizeof *alone.tokens);
        if (!alone.tokens)
            die("no host memory");
        memcpy(alone.tokens, r->tokens, r->prompt * sizeof *alone.tokens);
        serve_all(c, &alone, 1);
        same += alone.count == r->count && !memcmp(alone.tokens, r->tokens, r->count * sizeof *r->tokens);
        shared += r->shared;
        free(alone.tokens);
    }
    const bool ok = same == c->count && c->pages.free_count == c->pages.count;
    printf("check: %u of %u texts are the same as alone; %u tokens were shared; %u of %u pages are free at the end\n",
           same, c->count, shared, c->pages.free_count, c->pages.count);
    printf("check: %s\n", ok ? "passed" : "FAILED");
    return ok;
}

/* ---- the texts --------------------------------------------------------------------------------------------------- */

static void print_texts(const scheduler *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        const request *r = &c->requests[i];
        printf("[%u] ", i + 1);
        print_prompt(c->o->prompts[i]);
        for (uint32_t t = r->prompt; t < r->count; t++)
            print_token(c->p, r->tokens[t]);
        printf("\n");
    }
}

static void print_figures(const scheduler *c, double seconds)
{
    uint32_t prompts = 0, generated = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        prompts += c->requests[i].prompt;
        generated += c->requests[i].count - c->requests[i].prompt;
    }
    printf("%u tokens of prompts and %u generated ones in %u runs, %.2f ms, %.0f tokens/s generated\n", prompts,
           generated, c->runs, seconds * 1e3, generated / seconds);
    if (c->pages.count)
        printf("at most %u of %u pages were used\n", c->pages.most_used, c->pages.count);
}

bool serve(app *a, const pretrained *p, const options *o)
{
    request requests[MOST_PROMPTS];
    server s;
    scheduler c = {.s = &s, .p = p, .o = o, .requests = requests, .count = o->prompt_count};
    uint32_t longest_prompt = 0;
    for (uint32_t i = 0; i < c.count; i++) {
        request *r = &requests[i];
        *r = (request){.index = -1};
        r->tokens = prompt_tokens(p, o->prompts[i], o->tokens, &r->prompt);
        r->count = r->prompt;
        longest_prompt = r->prompt > longest_prompt ? r->prompt : longest_prompt;
    }
    const uint32_t longest = longest_prompt + o->tokens - 1; /* the last token is not kept */
    if (p->config.window && longest > p->config.most_positions)
        refuse("%u tokens are more than the %u for which the model's rotation is known", longest,
               p->config.most_positions);
    if (!o->bounded && longest > o->window)
        refuse(
            "with a paged cache, each query sees all keys: %u tokens are more than the window of %u; --cache bounded "
            "has no such limit",
            longest, o->window);
    const uint32_t sequences = o->sequences ? o->sequences : c.count < 8 ? c.count : 8;
    const uint32_t pages_of_longest = (longest + PAGE_TOKENS - 1) / PAGE_TOKENS;
    const server_sizes sizes = {.sequences = sequences,
                                .max_tokens = longest,
                                .pages = o->bounded ? 0 : sequences * pages_of_longest,
                                .window = o->window,
                                .format = o->format,
                                .chunks = longest_prompt >= CHUNK_TOKENS};
    server_create(&s, a, &p->weights, &sizes);
    pages_create(&c.pages, sizes.pages);
    c.served = calloc(sequences, sizeof *c.served);
    if (!c.served)
        die("no host memory");

    const double start = now();
    serve_all(&c, requests, c.count);
    const double seconds = now() - start;
    print_texts(&c);
    print_figures(&c, seconds);
    const bool ok = !o->check || check(&c);
    free(c.served);
    pages_destroy(&c.pages);
    server_destroy(&s);
    for (uint32_t i = 0; i < c.count; i++)
        free(requests[i].tokens);
    return ok;
}
