/* SPDX-License-Identifier: MIT
 * The physical devices of a runtime. */
#ifndef DMATTN_RUNTIME_PHYSICAL_H
#define DMATTN_RUNTIME_PHYSICAL_H

#include "objects.h"

/* Fills runtime->devices and runtime->infos. */
dmattn_status dmattn_physical_devices_read(dmattn_runtime *runtime);

#endif
