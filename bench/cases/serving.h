/* SPDX-License-Identifier: MIT
 * The suite `serving`: steps of decoding and chunks of prompts, for many sequences and every format of a cache. Pure
 * functions. */
#ifndef DMATTN_BENCH_SERVING_H
#define DMATTN_BENCH_SERVING_H

#include "case_list.h"

/* See suite_add_cases(). */
bool serving_add_cases(VkPhysicalDeviceType device, const shape_list *shapes, const sweep *wanted, const char *filter,
                       case_list *cases);

#endif
