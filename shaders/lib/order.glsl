// SPDX-License-Identifier: MIT
// The order of keys by their importance.
#ifndef LIB_ORDER_GLSL
#define LIB_ORDER_GLSL

// A number that grows with the importance, by its bits alone, so that no device's treatment of tiny numbers matters. NaN
// counts as -infinity and -0 as 0; less than all of them is 0, which is for keys that are never seen.
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
