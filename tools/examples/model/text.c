/* SPDX-License-Identifier: MIT */
#include "text.h"

#include "vulkan/die.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Prints text, but not what could control a terminal. `bytes`: nor bytes beyond ASCII, which need not be UTF-8. */
static void print_text(const char *text, size_t length, bool bytes)
{
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)text[i];
        if ((c >= ' ' && c < 0x7f) || c == '\n' || c == '\t' || (c >= 0x80 && !bytes))
            putchar(c);
        else
            printf("\\x%02x", c);
    }
}

void print_token(const pretrained *p, uint32_t token)
{
    const char byte = (char)token;
    const token_bytes text = p->tokenizer ? tokenizer_decode(p->tokenizer, token) : (token_bytes){&byte, 1};
    print_text(text.data, text.length, !p->tokenizer);
    fflush(stdout);
}

void print_prompt(const char *prompt)
{
    print_text(prompt, strlen(prompt), false);
}

uint32_t *prompt_tokens(const pretrained *p, const char *prompt, uint32_t more, uint32_t *count)
{
    char error[TOKENIZER_ERROR_SIZE];
    uint32_t *encoded = NULL;
    size_t n = strlen(prompt);
    if (p->tokenizer && !tokenizer_encode(p->tokenizer, prompt, &encoded, &n, error))
        refuse("--prompt: %s", error);
    uint32_t *tokens = calloc(n + more, sizeof *tokens);
    if (!tokens)
        die("no host memory");
    for (size_t i = 0; i < n; i++)
        tokens[i] = encoded ? encoded[i] : (unsigned char)prompt[i];
    free(encoded);
    if (!n || n > MOST_TOKENS)
        refuse("the prompt has %zu tokens, but must have 1 to %d", n, MOST_TOKENS);
    *count = (uint32_t)n;
    return tokens;
}

bool is_end(const model_config *c, uint32_t token)
{
    for (uint32_t i = 0; i < c->end_count; i++)
        if (c->ends[i] == token)
            return true;
    return false;
}

double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
