/* SPDX-License-Identifier: MIT
 * What a device's gradients must be, for the tests of all operators that have them. */
#ifndef DMATTN_TESTS_GRADIENT_RUN_H
#define DMATTN_TESTS_GRADIENT_RUN_H

#include "gradients.h"
#include "support/harness.h"

/* What a problem that wants all gradients should give, by the reference; with dma the mask must be there. */
gradients backward_expect(const problem *p);

/* Computes gradients on the device from a problem that has run forward, and expects that they are right, within what
 * rounding explains; that the level is the problem's; that nothing is written but their elements; and that a second run
 * leaves the same bits. With dma that of the importance must be wanted, too. */
void backward_check(const char *name, const device_problem *forward, const gradients *want);

/* Computes each subset of the gradients, by matrices as far as the share holds it, and expects that it is right, too.
 */
void backward_check_subsets(const char *name, const device_problem *forward, const gradients *want);

#endif
