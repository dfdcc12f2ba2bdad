/* SPDX-License-Identifier: MIT
 * Byte-level BPE, from the file tokenizer.json of Hugging Face's tokenizers: text to tokens and back.
 *
 * Text is split at the added tokens (such as "<|end_of_text|>") and into words. The bytes of a word are tokens at
 * first. Then the pair of neighbours that comes first in the list of merges becomes one token, until no pair is in the
 * list. */
#ifndef EXAMPLE_TOKENIZER_H
#define EXAMPLE_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOKENIZER_ERROR_SIZE 256 /* of the buffers for messages */

typedef struct tokenizer tokenizer;

/* Parses the content of a tokenizer.json; text[length] must be 0. Returns NULL on failure: then `error` has a message
 * that continues the file's name, such as "is not valid JSON". */
tokenizer *tokenizer_parse(const char *text, size_t length, char *error);
void tokenizer_free(tokenizer *t);

/* One more than the largest token. */
uint32_t tokenizer_size(const tokenizer *t);

/* Turns text into tokens, with those that the file adds before and after a text. The caller frees *tokens. On failure,
 * returns false, and `error` has a sentence. */
bool tokenizer_encode(const tokenizer *t, const char *text, uint32_t **tokens, size_t *count, char *error);

/* The bytes of a token; empty if there is no such token. */
typedef struct token_bytes {
    const char *data;
    size_t length;
} token_bytes;
token_bytes tokenizer_decode(const tokenizer *t, uint32_t token);

#endif
