/* SPDX-License-Identifier: MIT
 * Choosing a device by name, index or rank. Pure: works on what was read of the devices. */
#ifndef DMATTN_RUNTIME_SELECT_H
#define DMATTN_RUNTIME_SELECT_H

#include <dmattn/runtime.h>

#include "../message.h"

/* dmattn_runtime_find_device() over `infos`. Devices of level 0 are never chosen; of several that match, the best. */
dmattn_status dmattn_select_device(const dmattn_device_info *infos, uint32_t count, const char *selector,
                                   uint32_t *index, const messenger *messenger);

#endif
