/* SPDX-License-Identifier: MIT
 * What a tokenizer consists of, for encode.c, which uses it, and file.c, which reads it. */
#ifndef EXAMPLE_TOKENIZER_DATA_H
#define EXAMPLE_TOKENIZER_DATA_H

#include "tokenizer.h"
#include "words.h"

#include <stdio.h>

enum { MOST_PATTERNS = 8, MOST_AROUND = 16 };

#define NONE UINT32_MAX

/* A hash table with open addressing: keys are hashed and compared by the caller. */
typedef struct table {
    uint32_t *entries; /* an index + 1, or 0 */
    uint32_t mask;
} table;

typedef struct merge {
    uint32_t left, right, merged;
} merge;

typedef struct stored_token {
    char *data; /* NULL: there is no such token */
    size_t length;
} stored_token;

struct tokenizer {
    stored_token *tokens; /* by their number */
    uint32_t size;
    table by_bytes; /* tokens of the vocabulary, by their bytes */
    merge *merges;  /* the first one comes first */
    uint32_t merge_count;
    table by_pair;   /* merges, by left and right */
    uint32_t *added; /* tokens that are found in text before words are */
    uint32_t added_count;
    word_pattern patterns[MOST_PATTERNS]; /* each splits the pieces of the one before */
    uint32_t pattern_count;
    uint32_t before[MOST_AROUND], after[MOST_AROUND]; /* tokens around a text */
    uint32_t before_count, after_count;
    bool whole_words; /* a word that is a token needs no merges */
    bool normalises;  /* text is normalised to NFC first */
};

/* Makes room for a number of entries, half as many as there are places. */
bool table_create(table *t, size_t entries);

/* The place of the token with these bytes, or the free place for it. */
uint32_t *place_of_bytes(const tokenizer *t, const char *data, size_t length);

/* The place of a merge, or the free place for it. */
uint32_t *place_of_pair(const tokenizer *t, uint32_t left, uint32_t right);

/* The token with these bytes, or NONE. */
uint32_t find_token(const tokenizer *t, const char *data, size_t length);

/* A failure: a message and false. */
#define FAIL(...) (snprintf(error, TOKENIZER_ERROR_SIZE, __VA_ARGS__), false)
#define NO_MEMORY FAIL("does not fit in memory")

#endif
