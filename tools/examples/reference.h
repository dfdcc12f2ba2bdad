/* SPDX-License-Identifier: MIT
 * The same model on the CPU, straight from its definition, and what the device computed held against it. */
#ifndef EXAMPLE_REFERENCE_H
#define EXAMPLE_REFERENCE_H

#include "model.h"

/* Checks a sequence of which the model has made the tokens behind the prompt: `logits` are what the prefill and the
 * steps gave, `whole` those of a prefill over all of it; a row for each of tokens[0 .. n - 1], and tokens[n] is the
 * last one made. Prints what it found. */
bool reference_check(const weights *w, uint32_t window, const uint32_t *tokens, uint32_t n, uint32_t prompt,
                     const float *logits, const float *whole);

#endif
