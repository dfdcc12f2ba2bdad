/* SPDX-License-Identifier: MIT
 * Checks of a device's gradients, for the tests of all operators with gradients. */
#ifndef DMATTN_TESTS_GRADIENT_RUN_H
#define DMATTN_TESTS_GRADIENT_RUN_H

#include "gradients.h"
#include "support/harness.h"

/* The correct gradients of a problem that requests all of them, as the reference computes them. With dma, the problem
 * must have its mask. */
gradients backward_expect(const problem *p);

/* Computes gradients on the device from a problem that has run forward. Expects that they are right, except for
 * rounding; that they run at the problem's level; that only their elements are written; and that a second run gives the
 * same bits. With dma, the problem must also request the gradient of the importance. */
void backward_check(const char *name, const device_problem *forward, const gradients *want);

/* Computes each subset of the gradients and expects that it is right, too. At matrix levels, only subsets that belong
 * to this process's share are computed.
 */
void backward_check_subsets(const char *name, const device_problem *forward, const gradients *want);

#endif
