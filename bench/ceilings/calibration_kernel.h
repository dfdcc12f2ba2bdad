/* SPDX-License-Identifier: MIT
 * The kernel that calibration runs: f32 multiply-adds for some milliseconds. */
#ifndef DMATTN_BENCH_CALIBRATION_KERNEL_H
#define DMATTN_BENCH_CALIBRATION_KERNEL_H

#include "timing/calibration.h"
#include "timing/settings.h"

/* The settings must outlive the calibration. NULL on failure; settings->log then says why. */
calibration *calibration_create(const measure_settings *settings);
void calibration_destroy(calibration *c);

#endif
