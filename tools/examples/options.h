/* SPDX-License-Identifier: MIT
 * The command line, and what the app does. */
#ifndef EXAMPLE_OPTIONS_H
#define EXAMPLE_OPTIONS_H

#include "model/pretrained.h"
#include "vulkan/vulkan_app.h"

enum { MOST_PROMPTS = 64 };

typedef struct options {
    const char *prompts[MOST_PROMPTS];
    uint32_t prompt_count;
    const char *weights, *save, *device;
    uint32_t tokens, window, seed, layers;
    bool serves;          /* keeps all prompts in one cache */
    bool bounded;         /* a bounded one */
    dmattn_format format; /* of keys and values in it */
    uint32_t sequences;   /* the most at a time; 0: default */
    bool check, validation;
} options;

/* Continues one prompt, or serves all. Prints the texts. Returns whether the check passed, if there is one. */
bool generate(app *a, const pretrained *p, const options *o);
bool serve(app *a, const pretrained *p, const options *o);

#endif
