/* SPDX-License-Identifier: MIT */
#include "ceiling.h"

static const struct {
    const char *name, *unit;
    double scale;
} texts[PEAK_COUNT] = {
    [PEAK_COPY] = {"copy", "GB/s", 1e-9},
    [PEAK_FMA] = {"f32 FMA", "TFLOP/s", 1e-12},
    [PEAK_F16_MATRIX] = {"f16 matrices", "TFLOP/s", 1e-12},
    [PEAK_BF16_MATRIX] = {"bf16 matrices", "TFLOP/s", 1e-12},
};

const char *peak_name(peak_id id)
{
    return texts[id].name;
}

const char *peak_unit(peak_id id)
{
    return texts[id].unit;
}

double peak_scale(peak_id id)
{
    return texts[id].scale;
}

peak_id peak_of_level(const peaks *p, dmattn_level level, dmattn_type type)
{
    if (level <= DMATTN_LEVEL_PORTABLE || type == DMATTN_TYPE_F32)
        return PEAK_FMA;
    /* Where a device has no matrices of bf16, the levels above compute with those of f16. */
    return type == DMATTN_TYPE_BF16 && p->of[PEAK_BF16_MATRIX].shape.m ? PEAK_BF16_MATRIX : PEAK_F16_MATRIX;
}

double peak_bound(const peaks *p, dmattn_level level, dmattn_type type, double flops, double bytes)
{
    const double arithmetic = p->of[peak_of_level(p, level, type)].rate, memory = p->of[PEAK_COPY].rate;
    if (arithmetic <= 0 || memory <= 0)
        return 0;
    return flops / arithmetic > bytes / memory ? flops / arithmetic : bytes / memory;
}
