/* SPDX-License-Identifier: MIT
 * Text of prompts and of generated tokens. */
#ifndef EXAMPLE_TEXT_H
#define EXAMPLE_TEXT_H

#include "pretrained.h"

enum { MOST_TOKENS = 100000 };

/* The tokens of a prompt, with room for `more` ones behind them. The caller frees them. */
uint32_t *prompt_tokens(const pretrained *p, const char *prompt, uint32_t more, uint32_t *count);

/* Prints a prompt, or a token, but nothing that could control a terminal. */
void print_prompt(const char *prompt);
void print_token(const pretrained *p, uint32_t token);

/* Whether the token ends a text. */
bool is_end(const model_config *c, uint32_t token);

/* Seconds since some moment. */
double now(void);

#endif
