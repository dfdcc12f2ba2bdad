/* SPDX-License-Identifier: MIT
 * Text to tokens, and tokens to bytes. */
#include "data.h"

#include <stdlib.h>
#include <string.h>

typedef struct output {
    const tokenizer *t;
    uint32_t *tokens; /* room for a token per byte, and for those around the text */
    size_t count;
    char *error;
} output;

static bool encode_word(output *o, const char *word, size_t length)
{
    const tokenizer *t = o->t;
    char *error = o->error;
    uint32_t *tokens = o->tokens + o->count, whole = t->whole_words ? find_token(t, word, length) : NONE;
    size_t count = whole != NONE ? 1 : length;
    if (whole != NONE)
        tokens[0] = whole;
    for (size_t i = 0; whole == NONE && i < length; i++)
        if ((tokens[i] = find_token(t, word + i, 1)) == NONE)
            return FAIL("the tokenizer has no token for the byte 0x%02x", (unsigned char)word[i]);
    while (count > 1) {
        uint32_t first = NONE;
        size_t at = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            const uint32_t rank = *place_of_pair(t, tokens[i], tokens[i + 1]) - 1; /* NONE: not in the list */
            if (rank < first) {
                first = rank;
                at = i;
            }
        }
        if (first == NONE)
            break;
        tokens[at] = t->merges[first].merged;
        memmove(&tokens[at + 1], &tokens[at + 2], (--count - at - 1) * sizeof *tokens);
    }
    o->count += count;
    return true;
}

/* Splits by the patterns from number `pattern` on. */
static bool encode_piece(output *o, const char *text, size_t length, uint32_t pattern)
{
    if (pattern == o->t->pattern_count)
        return encode_word(o, text, length);
    for (size_t word; length; text += word, length -= word) {
        word = words_next(o->t->patterns[pattern], text, length);
        if (!encode_piece(o, text, word, pattern + 1))
            return false;
    }
    return true;
}

/* The longest added token that the text begins with, or NONE. */
static uint32_t added_at(const tokenizer *t, const char *text, size_t length)
{
    uint32_t found = NONE;
    for (uint32_t i = 0; i < t->added_count; i++) {
        const stored_token *b = &t->tokens[t->added[i]];
        if (b->length <= length && !memcmp(b->data, text, b->length)
            && (found == NONE || b->length > t->tokens[found].length))
            found = t->added[i];
    }
    return found;
}

static bool encode_text(output *o, const char *text, size_t length)
{
    const tokenizer *t = o->t;
    size_t begin = 0, at = 0;
    while (at < length) {
        const uint32_t token = added_at(t, text + at, length - at);
        if (token == NONE) {
            at++;
            continue;
        }
        if (!encode_piece(o, text + begin, at - begin, 0))
            return false;
        o->tokens[o->count++] = token;
        begin = at += t->tokens[token].length;
    }
    return encode_piece(o, text + begin, length - begin, 0);
}

bool tokenizer_encode(const tokenizer *t, const char *text, uint32_t **tokens, size_t *count, char *error)
{
    const size_t length = strlen(text);
    for (size_t i = 0, bytes; i < length; i += bytes) {
        uint32_t point;
        if (!words_decode(text + i, length - i, &point, &bytes))
            return FAIL("the text is not UTF-8 at byte %zu", i);
        if (t->normalises && words_may_compose(point))
            return FAIL("the tokenizer normalises text, which this app does not: it has the character U+%04X", point);
    }
    output o = {.t = t, .tokens = calloc(length + 2 * MOST_AROUND, sizeof *o.tokens), .error = error};
    if (!o.tokens)
        return FAIL("no host memory for %zu tokens", length);
    memcpy(o.tokens, t->before, t->before_count * sizeof *o.tokens);
    o.count = t->before_count;
    if (!encode_text(&o, text, length)) {
        free(o.tokens);
        return false;
    }
    memcpy(o.tokens + o.count, t->after, t->after_count * sizeof *o.tokens);
    *tokens = o.tokens;
    *count = o.count + t->after_count;
    return true;
}

uint32_t tokenizer_size(const tokenizer *t)
{
    return t->size;
}

token_bytes tokenizer_decode(const tokenizer *t, uint32_t token)
{
    if (token >= t->size || !t->tokens[token].data)
        return (token_bytes){"", 0};
    return (token_bytes){t->tokens[token].data, t->tokens[token].length};
}
