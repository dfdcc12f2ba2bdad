/* SPDX-License-Identifier: MIT */
#include "merge.h"

#include <math.h>
#include <stdbool.h>

static bool is_usual(double lse)
{
    return isfinite(lse) || lse == -(double)INFINITY;
}

void reference_merge_row(const double *a, double lse_a, const double *b, double lse_b, uint32_t dim, double *out,
                         double *lse)
{
    const double largest = lse_a > lse_b ? lse_a : lse_b;
    const bool usual = is_usual(lse_a) && is_usual(lse_b), none = usual && !isfinite(largest);
    const double weight_a = none ? 0 : exp(lse_a - largest), weight_b = none ? 0 : exp(lse_b - largest);
    for (uint32_t i = 0; i < dim; i++)
        out[i] = !usual ? (double)NAN
                 : none ? 0
                        : ((weight_a > 0 ? weight_a * a[i] : 0) + (weight_b > 0 ? weight_b * b[i] : 0))
                              / (weight_a + weight_b);
    *lse = !usual ? (double)NAN : none ? -(double)INFINITY : largest + log(weight_a + weight_b);
}
