/* SPDX-License-Identifier: MIT
 * A small plan of each operator, and of each of its paths, with every call that records it. For tests of rules that all
 * operators obey. Buffers are from fake_vulkan.h. */
#ifndef DMATTN_TESTS_OPERATORS_H
#define DMATTN_TESTS_OPERATORS_H

#include "fake_vulkan.h"

typedef struct operator_case {
    const char *name;
    dmattn_status (*plan)(dmattn_context *context, dmattn_plan **plan);
    dmattn_status (*check)(const dmattn_context *context, dmattn_support *support);
    dmattn_status (*record)(const dmattn_plan *plan, VkCommandBuffer commands);
} operator_case;

#define OPERATORS 22

extern const operator_case operators[OPERATORS];

#endif
