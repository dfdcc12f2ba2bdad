/* SPDX-License-Identifier: MIT
 * What a device's gradients must be, for the tests of all operators that have them. */
#ifndef DMATTN_TESTS_BACKWARD_H
#define DMATTN_TESTS_BACKWARD_H

#include "gradients.h"
#include "harness.h"

/* What a problem should give, how large it would be if nothing cancelled, and how far from it a kernel may be. */
typedef struct backward_expectation {
    gradients want, size;
    double tolerance[TENSOR_COUNT];
} backward_expectation;

/* Of a problem that wants all gradients; with dma that of the importance, too, and the mask must be there. */
backward_expectation backward_expect(const char *name, const problem *p);
void backward_expectation_destroy(backward_expectation *want);

/* Computes gradients on the device from a problem that has run forward, and expects that they are right; that the level
 * is the problem's; that nothing is written but their elements; and that a second run leaves the same bits. */
void backward_check(const char *name, const device_problem *forward, const backward_expectation *want);

/* Computes each subset of the gradients, and expects that it is right, too. */
void backward_check_subsets(const char *name, const device_problem *forward, const backward_expectation *want);

#endif
