/* SPDX-License-Identifier: MIT
 * Opens the device that the options select. */
#ifndef DMATTN_RUN_DEVICE_H
#define DMATTN_RUN_DEVICE_H

#include <dmattn/runtime.h>

#include "complain.h"
#include "options.h"

/* Whether the input or the machine caused a failure: an exit status. */
int exit_status(dmattn_status status);

/* Opens the device, writes its name, calls `run`, and closes the device. Returns what `run` returned, or complains and
 * returns an exit status. `error`: where `run` finds the library's last message. */
int with_device(const run_options *o, char name[256],
                int (*run)(dmattn_device *device, const error_log *error, void *user), void *user);

#endif
