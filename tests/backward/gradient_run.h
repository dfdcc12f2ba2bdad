/* SPDX-License-Identifier: MIT
 * Checks of a device's gradients, for the tests of all operators with gradients. */
#ifndef DMATTN_TESTS_GRADIENT_RUN_H
#define DMATTN_TESTS_GRADIENT_RUN_H

#include "gradients.h"
#include "support/harness.h"

/* Whether there are kernels for gradients at a level that the device offers. Gradients of more than 256 columns are
 * made at the level portable only; then, this expects that a plan for another level is refused. */
bool backward_has_kernels(const dmattn_attention_desc *desc, dmattn_level level);

/* Puts a problem and the results of forward on the device, for its gradients; with dma, also puts the mask into the
 * problem. A device runs forward at the problem's level. A CPU would compile its kernels for seconds, and forward has
 * its own tests. So there, the reference computes it, unless DMATTN_TEST_CASES selects every case, or scores are large:
 * then forward and gradients must round them in the same way. */
device_problem backward_forward(const char *name, problem *p, bool large_scores);

/* The correct gradients of a problem that requests all of them, as the reference computes them. With dma, the problem
 * must have its mask. */
gradients backward_expect(const problem *p);

/* Computes gradients on the device from a problem that has run forward. Expects that they are right, except for
 * rounding; that they run at the problem's level; that only their elements are written; and that a second run gives the
 * same bits. With dma, the problem must also request the gradient of the importance. */
void backward_check(const char *name, const device_problem *forward, const gradients *want);

/* Computes subsets of the gradients and expects that they are right, too: by default, those with a single gradient of
 * `single` (bits of dmattn_gradient); if DMATTN_TEST_CASES selects them, all. */
void backward_check_subsets(const char *name, const device_problem *forward, const gradients *want, uint32_t single);

#endif
