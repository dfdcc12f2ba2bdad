/* SPDX-License-Identifier: MIT
 * How a tokenizer splits text into words before it merges bytes: the patterns of well-known byte-level tokenizers. */
#ifndef EXAMPLE_WORDS_H
#define EXAMPLE_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum word_pattern {
    WORDS_GPT2,        /* of GPT-2, and of ByteLevel with use_regex */
    WORDS_LLAMA3,      /* of GPT-4 and Llama 3: numbers of at most three digits */
    WORDS_QWEN2,       /* the same with single digits */
    WORDS_DIGITS,      /* splits before and after numbers */
    WORDS_DIGITS_ALONE /* each digit is a word */
} word_pattern;

/* Finds the pattern of a regular expression. Returns false if it is none of these. */
bool words_find_pattern(const char *expression, word_pattern *pattern);

/* The length of the first word of `text`, at least 1, at most `length`. `length` is at least 1, and the text is valid
 * UTF-8. */
size_t words_next(word_pattern pattern, const char *text, size_t length);

/* Reads a code point and its length in bytes, or returns false: the bytes are not valid UTF-8. */
bool words_decode(const char *text, size_t length, uint32_t *point, size_t *bytes);

/* Whether normalisation to NFC may change text with this code point in it. */
bool words_may_compose(uint32_t point);

#endif
