// SPDX-License-Identifier: MIT
// The order of keys by their importance.
#ifndef LIB_ORDER_GLSL
#define LIB_ORDER_GLSL

// Turns an importance into an integer that grows with it. Only integer operations are used, because devices treat
// subnormal numbers differently. NaN counts as -infinity, and -0 as 0. 0 is less than all results; it is for keys that
// are never seen.
#define NEVER_SEEN 0u

uint order_of(float importance)
{
    uint bits = floatBitsToUint(importance);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        bits = 0xff800000u;
    if (bits == 0x80000000u)
        bits = 0;
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

#endif
