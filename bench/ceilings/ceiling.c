/* SPDX-License-Identifier: MIT */
#include "ceiling.h"

static const struct {
    const char *name, *unit;
    double scale;
} texts[CEILING_COUNT] = {
    [CEILING_COPY] = {"copy", "GB/s", 1e-9},
    [CEILING_FMA] = {"f32 FMA", "TFLOP/s", 1e-12},
    [CEILING_F16_MATRIX] = {"f16 matrices", "TFLOP/s", 1e-12},
    [CEILING_BF16_MATRIX] = {"bf16 matrices", "TFLOP/s", 1e-12},
};

const char *ceiling_name(ceiling_id id)
{
    return texts[id].name;
}

const char *ceiling_unit(ceiling_id id)
{
    return texts[id].unit;
}

double ceiling_scale(ceiling_id id)
{
    return texts[id].scale;
}

ceiling_id ceiling_of_level(const ceilings *p, dmattn_level level, dmattn_type type)
{
    if (level <= DMATTN_LEVEL_PORTABLE || type == DMATTN_TYPE_F32)
        return CEILING_FMA;
    /* Without bf16 matrices, matrix levels convert bf16 to f16. */
    return type == DMATTN_TYPE_BF16 && p->of[CEILING_BF16_MATRIX].shape.m ? CEILING_BF16_MATRIX : CEILING_F16_MATRIX;
}

double roofline_seconds(const ceilings *p, dmattn_level level, dmattn_type type, double flops, double bytes)
{
    const double arithmetic = p->of[ceiling_of_level(p, level, type)].rate, memory = p->of[CEILING_COPY].rate;
    if (arithmetic <= 0 || memory <= 0)
        return 0;
    return flops / arithmetic > bytes / memory ? flops / arithmetic : bytes / memory;
}
