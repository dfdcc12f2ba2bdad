/* SPDX-License-Identifier: MIT */
#include "settings.h"

void tell_phase(const measure_settings *s, const char *phase)
{
    if (s->phase)
        s->phase(s->phase_user, phase);
}
