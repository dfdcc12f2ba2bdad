/* SPDX-License-Identifier: MIT */
#include "scheduler.h"

#include "model/text.h"
#include "vulkan/die.h"

#include <stdlib.h>

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

/* Whether the sequence's next tokens are a whole chunk of its prompt. */
static bool has_chunk(const scheduler *c, const request *r)
{
    return c->s->chunks && r->cached + CHUNK_TOKENS <= r->prompt;
}

/* Chooses the new tokens of each sequence. A run has one chunk, of the prompt that came first; other prompts that have
 * a whole chunk wait for their turn, so that each prompt is always cut in the same way. */
static server_chunk choose_tokens(scheduler *c, server_item *items)
{
    const request *first = NULL;
    for (uint32_t b = 0; b < c->s->sequences; b++) {
        const request *r = c->served[b];
        items[b] = (server_item){0};
        if (!r)
            continue;
        if (has_chunk(c, r)) {
            first = !first || r < first ? r : first;
            continue;
        }
        const uint32_t left = r->count - r->cached;
        items[b] = (server_item){r->tokens + r->cached, left < STEP_TOKENS ? left : STEP_TOKENS, r->cached};
        own_pages(c, r, items[b].count);
    }
    if (!first)
        return (server_chunk){0};
    own_pages(c, first, CHUNK_TOKENS);
    return (server_chunk){(uint32_t)first->index, first->tokens + first->cached, first->cached};
}

static void run(scheduler *c, server_item *items)
{
    const uint32_t vocabulary = c->s->layers.weights->shape.vocabulary;
    const server_chunk chunk = choose_tokens(c, items);
    const float *logits = server_run(c->s, items, &chunk);
    c->runs++;
    for (uint32_t b = 0; b < c->s->sequences; b++) {
        request *r = c->served[b];
        if (!r)
            continue;
        r->cached += chunk.tokens && chunk.index == b ? CHUNK_TOKENS : items[b].count;
        if (r->cached < r->count) /* a prompt that goes on */
            continue;
        const uint32_t token = likeliest(logits + (size_t)b * vocabulary, vocabulary);
        r->tokens[r->count++] = token;
        if (r->count - r->prompt == c->o->tokens || is_end(&c->p->config, token))
            end(c, r);
    }
}

void serve_all(scheduler *c, request *requests, uint32_t count)
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
