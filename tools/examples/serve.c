/* SPDX-License-Identifier: MIT
 * Several prompts at once: a small scheduler. In each run, every sequence that is served gets new tokens: a chunk of
 * its prompt, or, after that, the token that was found last. So prompts do not wait for the texts of others. A prompt
 * waits until there are an index and pages for it. */
#include "die.h"
#include "options.h"
#include "pages.h"
#include "server.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct request {
    uint32_t *tokens; /* of the prompt, then those that were generated */
    uint32_t prompt, count, cached;
    uint32_t shared; /* tokens of the prompt that were another sequence's */
    int index;       /* of its sequence; -1: it is not served */
    bool done;
} request;

typedef struct scheduler {
    server *s;
    const pretrained *p;
    const options *o;
    request *requests;
    uint32_t count;
    request **served; /* by index; NULL: the index is free */
    pages pages;
    uint32_t promised; /* pages that the sequences may need until they end */
    uint32_t runs;
} scheduler;

/* ---- pages ------------------------------------------------------------------------------------------------------- */

static bool is_paged(const scheduler *c)
{
    return c->s->desc.page_size;
}

/* Pages of a whole text; the last token is generated, but not kept. */
static uint32_t pages_of(const scheduler *c, const request *r)
{
    const dmattn_page_range all = dmattn_decode_written_pages(&c->s->desc, 0, r->prompt + c->o->tokens - 1);
    return all.end - all.first;
}

/* Gives the sequence pages of its own for its next `count` tokens. */
static void own_pages(scheduler *c, const request *r, uint32_t count)
{
    const dmattn_page_range written = dmattn_decode_written_pages(&c->s->desc, r->cached, count);
    int32_t *row = is_paged(c) ? server_row(c->s, (uint32_t)r->index) : NULL;
    for (uint32_t i = written.first; i < written.end; i++) {
        const int32_t old = row[i]; /* -1: no page yet */
        if (old >= 0 && c->pages.owners[old] == 1)
            continue;
        row[i] = pages_take(&c->pages);
        if (i == written.first && r->cached % c->s->desc.page_size)
            server_copy_page(c->s, old, row[i]); /* it has tokens that are kept */
        if (old >= 0)
            pages_give_back(&c->pages, old);
    }
}

static void give_back_pages(scheduler *c, const request *r)
{
    const int32_t *row = is_paged(c) ? server_row(c->s, (uint32_t)r->index) : NULL;
    for (uint32_t i = 0; row && i < c->s->cache.table_pages && row[i] >= 0; i++)
        pages_give_back(&c->pages, row[i]);
}

/* ---- which prompts are served ------------------------------------------------------------------------------------ */

/* The sequence that begins with the most tokens of the prompt, but with less than all, so that one is left to run. */
static request *with_same_prefix(const scheduler *c, const request *r, uint32_t *length)
{
    request *best = NULL;
    *length = 0;
    for (uint32_t b = 0; b < c->s->sequences; b++) {
        const request *other = c->served[b];
        uint32_t n = 0;
        while (other && n + 1 < r->prompt && n < other->prompt && r->tokens[n] == other->tokens[n])
            n++;
        if (n > *length) {
            *length = n;
            best = c->served[b];
        }
    }
    return best;
}

/* Begins with the pages of the other sequence, which stay the same. */
static void share_prefix(scheduler *c, request *r, const request *other, uint32_t length)
{
    const uint32_t shared = (length + c->s->desc.page_size - 1) / c->s->desc.page_size;
    const int32_t *from = server_row(c->s, (uint32_t)other->index);
    int32_t *row = server_row(c->s, (uint32_t)r->index);
    server_fork(c->s, (uint32_t)other->index, (uint32_t)r->index);
    for (uint32_t i = 0; i < shared; i++) {
        row[i] = from[i];
        pages_share(&c->pages, row[i]);
    }
    r->cached = r->shared = length;
}

/* Serves the next prompt, if there is an index, and pages for its whole text. If another sequence is about to have a
 * page of the same prefix, it waits for that. */
static bool admit(scheduler *c, request *r)
{
    uint32_t b = 0, length = 0;
    const request *other = is_paged(c) ? with_same_prefix(c, r, &length) : NULL;
    const bool shares = other && length >= c->s->desc.page_size;
    while (b < c->s->sequences && c->served[b])
        b++;
    if (b == c->s->sequences || c->promised + pages_of(c, r) > c->pages.count || (shares && other->cached < length))
        return false;
    r->index = (int)b;
    c->served[b] = r;
    c->promised += pages_of(c, r);
    for (uint32_t i = 0; is_paged(c) && i < c->s->cache.table_pages; i++)
        server_row(c->s, b)[i] = -1;
    if (shares)
        share_prefix(c, r, other, length);
    return true;
}

static void end(scheduler *c, request *r)
{
    give_back_pages(c, r);
    c->promised -= pages_of(c, r);
    c->served[r->index] = NULL;
    r->index = -1;
    r->done = true;
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

static uint32_t likeliest(const float *logits, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        best = logits[i] > logits[best] ? i : best;
    return best;
}

static void run(scheduler *c, server_item *items)
{
    const uint32_t vocabulary = c->s->layers.weights->shape.vocabulary;
    for (uint32_t b = 0; b < c->s->sequences; b++) {
        const request *r = c->served[b];
        items[b] = (server_item){0};
        if (!r)
            continue;
        const uint32_t left = r->count - r->cached;
        items[b] = (server_item){r->tokens + r->cached, left < CHUNK ? left : CHUNK, r->cached};
        own_pages(c, r, items[b].count);
    }
    const float *logits = server_run(c->s, items);
    c->runs++;
    for (uint32_t b = 0; b < c->s->sequences; b++) {
        request *r = c->served[b];
        if (!r)
            continue;
        r->cached += items[b].count;
        if (r->cached < r->count) /* a prompt that goes on */
            continue;
        const uint32_t token = likeliest(logits + (size_t)b * vocabulary, vocabulary);
        r->tokens[r->count++] = token;
        if (r->count - r->prompt == c->o->tokens || is_end(&c->p->config, token))
            end(c, r);
    }
}

/* Serves requests until all are done. */
static void serve_all(scheduler *c, request *requests, uint32_t count)
{
    server_item *items = calloc(c->s->sequences, sizeof *items);
    uint32_t next = 0, done = 0;
    if (!items)
        die("no host memory");
    while (done < count) {
        while (next < count && admit(c, &requests[next]))
            next++;
        run(c, items);
        done = 0;
        for (uint32_t i = 0; i < count; i++)
            done += requests[i].done;
    }
    free(items);
}

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
    if (is_paged(c))
        printf("at most %u of %u pages were used\n", c->pages.most_used, c->pages.count);
}

bool serve(app *a, const pretrained *p, const options *o)
{
    request requests[MOST_PROMPTS];
    server s;
    scheduler c = {.s = &s, .p = p, .o = o, .requests = requests, .count = o->prompt_count};
    uint32_t longest = 0;
    for (uint32_t i = 0; i < c.count; i++) {
        request *r = &requests[i];
        *r = (request){.index = -1};
        r->tokens = prompt_tokens(p, o->prompts[i], o->tokens, &r->prompt);
        r->count = r->prompt;
        longest = r->prompt + o->tokens > longest ? r->prompt + o->tokens : longest;
    }
    longest--; /* the last token is not kept */
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
                                .format = o->format};
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
