// SPDX-License-Identifier: MIT
// Formats of rows of keys and values (dmattn_format): reading, and making numbers of fewer bits. The reference
// (src/reference/format.c) makes the same bits, so all results here must not depend on how a device divides.
#ifndef LIB_FORMAT_GLSL
#define LIB_FORMAT_GLSL

#include "../lib/memory.glsl"

// ---- reading ---------------------------------------------------------------------------------------------------

bool has_scales(uint format)
{
    return format == FORMAT_INT8 || format == FORMAT_E4M3;
}

// Eight bytes from any address. Only words that have one of them are read.
uvec2 load_8_bytes(uvec2 address)
{
    const uint shift = (address.x & 3u) * 8;
    Words words = Words(uvec2(address.x & ~3u, address.y));
    uvec2 bytes = uvec2(words.w[0], words.w[1]);
    if (shift != 0)
        bytes = uvec2(bytes.x >> shift | bytes.y << 32 - shift, bytes.y >> shift | words.w[2] << 32 - shift);
    return bytes;
}

vec4 int8_numbers(uint bytes)
{
    const int x = int(bytes);
    return vec4(bitfieldExtract(x, 0, 8), bitfieldExtract(x, 8, 8), bitfieldExtract(x, 16, 8), x >> 24);
}

float e4m3_number(uint code)
{
    const uint size = code & 0x7fu;
    const float magnitude = size == 0x7fu ? uintBitsToFloat(0x7fc00000u)
                            : size < 8u   ? float(size) * (1.0 / 512.0)
                                          : uintBitsToFloat((size << 20) + (120u << 23));
    return (code & 0x80u) == 0u ? magnitude : -magnitude;
}

vec4 e4m3_numbers(uint bytes)
{
    return vec4(e4m3_number(bytes), e4m3_number(bytes >> 8), e4m3_number(bytes >> 16), e4m3_number(bytes >> 24));
}

// The lower four bits of each byte.
vec4 q4_0_numbers(uint bytes)
{
    return vec4(uvec4(bytes, bytes >> 8, bytes >> 16, bytes >> 24) & 15u) - 8.0;
}

// Elements 8 * index to 8 * index + 7 of a row that begins at any address with a multiple of the bytes of its elements,
// or, for blocks, of 2. `scale`: of the row, if its format has scales.
void load_8_of(uint format, uvec2 row, uint index, float scale, out vec4 a, out vec4 b)
{
    if (format < FORMAT_INT8) {
        load_8(format - FORMAT_F32, false, row, index, a, b);
        return;
    }
    if (format < FORMAT_Q8_0) {
        const uvec2 bytes = load_8_bytes(advance(row, index, uvec2(8, 0)));
        a = scale * (format == FORMAT_INT8 ? int8_numbers(bytes.x) : e4m3_numbers(bytes.x));
        b = scale * (format == FORMAT_INT8 ? int8_numbers(bytes.y) : e4m3_numbers(bytes.y));
        return;
    }
    const bool is_q8 = format == FORMAT_Q8_0;
    const uint part = index % 4;
    const uvec2 block = advance(row, index / 4, uvec2(is_q8 ? Q8_0_BYTES : Q4_0_BYTES, 0));
    const float d = load_element(TYPE_F16, block, 0);
    const uvec2 bytes = load_8_bytes(advance(block, 1, uvec2(2 + 8 * (is_q8 ? part : part % 2), 0)));
    const uint shift = part < 2 ? 0 : 4;
    a = d * (is_q8 ? int8_numbers(bytes.x) : q4_0_numbers(bytes.x >> shift));
    b = d * (is_q8 ? int8_numbers(bytes.y) : q4_0_numbers(bytes.y >> shift));
}

// ---- the scale of a row or a block -----------------------------------------------------------------------------

// The bits of a magnitude: of two numbers, the one with the larger magnitude has more. NaN has the most.
uint magnitude_bits(float x)
{
    return floatBitsToUint(x) & 0x7fffffffu;
}

// The one with the larger magnitude; `a` if they are equal.
float larger(float a, float b)
{
    return magnitude_bits(b) > magnitude_bits(a) ? b : a;
}

// x / (2^bits - 1), rounded to nearest even, for a normal x >= 0. A result below 2^-126 is 0.
float divide_by_ones(float x, uint bits)
{
    const uint divisor = (1u << bits) - 1u, exponent = floatBitsToUint(x) >> 23;
    const uint mantissa = floatBitsToUint(x) & 0x7fffffu | 0x800000u;
    const uint quotient = ((mantissa << bits) + divisor / 2) / divisor; // there are no ties: the divisor is odd
    const bool is_short = quotient < 0x1000000u;                       // has 24 bits
    const uint digits = is_short ? quotient : ((mantissa << bits - 1) + divisor / 2) / divisor;
    const uint below = is_short ? bits : bits - 1;
    return exponent <= below ? 0.0 : uintBitsToFloat(exponent - below << 23 | digits & 0x7fffffu);
}

// The scale of a row, or d of a block before it is rounded: from `largest`, the element with the largest magnitude. NaN
// if that is not finite. d of Q4_0 has a sign.
float format_scale(uint format, float largest)
{
    const uint bits = magnitude_bits(largest);
    if (bits >= 0x7f800000u)
        return uintBitsToFloat(0x7fc00000u);
    if (bits < 0x00800000u)
        return 0.0;
    if (format == FORMAT_Q4_0)
        return bits < 0x02000000u ? 0.0 : largest * -0.125;
    const float size = uintBitsToFloat(bits);
    if (format != FORMAT_E4M3)
        return divide_by_ones(size, 7);
    const float seventh = divide_by_ones(size, 3);
    return floatBitsToUint(seventh) < 7u << 23 ? 0.0 : seventh * (1.0 / 64.0);
}

// 1 / scale, rounded to nearest even; 0 for 0, and for NaN.
float reciprocal(float scale)
{
    const uint bits = floatBitsToUint(scale), size = bits & 0x7fffffffu, sign = bits ^ size;
    const uint exponent = 253u - (size >> 23), mantissa = size & 0x7fffffu | 0x800000u;
    if (size == 0u || size >= 0x7f800000u)
        return 0.0;
    if (mantissa == 0x800000u)
        return uintBitsToFloat(sign | exponent + 1u << 23);
    // The quotient 2^47 / mantissa is near what the device finds. 2^47 is 0 in 32 bits, and so the remainder is exact.
    uint quotient = uint(16777216.0 * (1.0 / uintBitsToFloat(0x3f800000u | size & 0x7fffffu)));
    int remainder = -int(quotient * mantissa);
    for (uint i = 0; i < 8 && 2 * remainder > int(mantissa); i++) {
        quotient++;
        remainder -= int(mantissa);
    }
    for (uint i = 0; i < 8 && 2 * remainder < -int(mantissa); i++) {
        quotient--;
        remainder += int(mantissa);
    }
    return uintBitsToFloat(sign | exponent << 23 | quotient & 0x7fffffu);
}

// ---- making numbers --------------------------------------------------------------------------------------------

// Of a number that rounds to at most 448.
uint e4m3_code(float x)
{
    const uint bits = floatBitsToUint(x), sign = bits >> 24 & 0x80u, size = bits & 0x7fffffffu;
    if (size < 0x3c800000u) // below the smallest normal number: adding 2^14 rounds to multiples of 2^-9
        return sign | floatBitsToUint(uintBitsToFloat(size) + 16384.0) - 0x46800000u;
    return sign | size - (120u << 23) + 0x7ffffu + (size >> 20 & 1u) >> 20;
}

// Four bytes, the first one the lowest, of a row of INT8 or E4M3, or of a block of Q8_0. `inverse`: reciprocal() of its
// scale. If the scale is NaN, it is 0, and so are the bytes.
uint quantize_4(uint format, float inverse, vec4 x)
{
    if (inverse == 0)
        return 0;
    uvec4 codes;
    for (uint i = 0; i < 4; i++) {
        const float number = x[i] * inverse;
        codes[i] = format == FORMAT_E4M3 ? e4m3_code(number) : uint(int(roundEven(number))) & 0xffu;
    }
    return codes.x | codes.y << 8 | codes.z << 16 | codes.w << 24;
}

// Four bytes of a block of Q4_0: elements i to i + 3 in the lower halves, i + 16 to i + 19 in the upper ones.
uint quantize_q4_0(float inverse, vec4 lower, vec4 upper)
{
    if (inverse == 0)
        return 0x88888888u; // zeros
    uint bytes = 0;
    for (uint i = 0; i < 4; i++) {
        precise const float low = lower[i] * inverse, high = upper[i] * inverse; // both are rounded before the sum
        bytes |= min(uint(low + 8.5), 15u) << 8 * i | min(uint(high + 8.5), 15u) << 8 * i + 4;
    }
    return bytes;
}

#endif
