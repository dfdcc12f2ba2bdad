/* SPDX-License-Identifier: MIT */
#include "calibration_kernel.h"

#include "ceiling_kernel.h"

#include <stdlib.h>

typedef struct calibration_kernel {
    calibration calibration; /* first, so that a pointer to it is a pointer to the whole */
    messenger log;
    ceiling_kernel kernel;
    uint64_t next;
} calibration_kernel;

static dmattn_status prepare(calibration_kernel *c)
{
    float input[CEILING_FMA_INPUTS];
    c->kernel.repeats = 1;
    TRY(ceiling_kernel_create_fma(&c->kernel, input));
    return choose_size(&c->kernel, &c->kernel.repeats, MOST_REPEATS, 2e-3);
}

calibration *calibration_create(const measure_settings *s)
{
    calibration_kernel *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->calibration.kernel = (recording){s->device, ceiling_kernel_record, &c->kernel};
    c->log = (messenger){error_log_keep, s->log};
    c->kernel =
        (ceiling_kernel){.settings = s, .next = &c->next, .ctx = dmattn_device_context(s->device), .log = &c->log};
    if (!prepare(c))
        return &c->calibration;
    calibration_destroy(&c->calibration);
    return NULL;
}

void calibration_destroy(calibration *c)
{
    calibration_kernel *all = (calibration_kernel *)c;
    if (all)
        ceiling_kernel_destroy(&all->kernel);
    free(all);
}
