/* SPDX-License-Identifier: MIT
 * The same model on the CPU, computed directly from its definition, and a comparison of the device with it. */
#ifndef EXAMPLE_REFERENCE_H
#define EXAMPLE_REFERENCE_H

#include "model.h"

/* Checks a sequence whose tokens after the prompt the model has generated, and prints the result. `logits` are those of
 * the prefill and the steps, `whole` those of a prefill of the whole sequence, each with a row for tokens[0 .. n - 1];
 * tokens[n] is the last generated token. */
bool reference_check(const weights *w, uint32_t window, const uint32_t *tokens, uint32_t n, uint32_t prompt,
                     const float *logits, const float *whole);

#endif
