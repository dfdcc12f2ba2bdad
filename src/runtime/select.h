/* SPDX-License-Identifier: MIT
 * Chooses a device by name, index or rank, from the infos alone. */
#ifndef DMATTN_RUNTIME_SELECT_H
#define DMATTN_RUNTIME_SELECT_H

#include <dmattn/runtime.h>

#include "../message.h"

/* Implements dmattn_runtime_find_device() on `infos`. If several devices match, chooses the best one. Never chooses a
 * device of level 0. */
dmattn_status dmattn_select_device(const dmattn_device_info *infos, uint32_t count, const char *selector,
                                   uint32_t *index, const messenger *messenger);

#endif
