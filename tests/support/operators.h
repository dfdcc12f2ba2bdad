/* SPDX-License-Identifier: MIT
 * One small plan of each operator, and of each way that an operator may go, with every call that records it: for tests
 * of what holds for all of them. Buffers are fake_vulkan.h's. */
#ifndef DMATTN_TESTS_OPERATORS_H
#define DMATTN_TESTS_OPERATORS_H

#include "fake_vulkan.h"

typedef struct operator_case {
    const char *name;
    dmattn_status (*plan)(dmattn_context *context, dmattn_plan **plan);
    dmattn_status (*record)(const dmattn_plan *plan, VkCommandBuffer commands);
} operator_case;

#define OPERATORS 13

extern const operator_case operators[OPERATORS];

#endif
