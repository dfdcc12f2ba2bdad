// SPDX-License-Identifier: MIT
// Access to device memory. Addresses are pairs of 32-bit words, so that no device needs 64-bit integers. All reads and
// writes are of whole 32-bit words, so that no device needs 8-bit or 16-bit storage or 16-bit arithmetic.
#ifndef LIB_MEMORY_GLSL
#define LIB_MEMORY_GLSL

#include "shared.h"

layout(buffer_reference, std430, buffer_reference_align = 4) buffer Words {
    uint w[];
};
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Pairs {
    uvec2 p[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Quads {
    uvec4 q[];
};

// address + index * stride
#ifdef INT64 // the device has 64-bit integers
uvec2 advance(uvec2 address, uint index, uvec2 stride)
{
    return unpackUint2x32(packUint2x32(address) + uint64_t(index) * packUint2x32(stride));
}
#else
uvec2 advance(uvec2 address, uint index, uvec2 stride)
{
    uint high, low, carry;
    umulExtended(index, stride.x, high, low);
    low = uaddCarry(address.x, low, carry);
    return uvec2(low, address.y + high + index * stride.y + carry);
}
#endif

#ifdef WIDE_PRODUCTS
// a * b in 64 bits, as a stride of advance().
uvec2 wide_product(uint a, uint b)
{
    uint high, low;
    umulExtended(a, b, high, low);
    return uvec2(low, high);
}
#endif

// The first row of a batch item's head in a tensor [batch, sequence, head, dim]. `derived`: the batch stride is `rows`
// times the sequence stride.
uvec2 head_base(uvec2 base, uint batch, uint rows, uint head, bool derived, uvec2 batch_stride, uvec2 sequence_stride,
                uvec2 head_stride)
{
    uvec2 item = derived ? advance(base, batch * rows, sequence_stride) : advance(base, batch, batch_stride);
    return advance(item, head, head_stride);
}

uint element_size(uint type)
{
    return type == TYPE_F32 ? 4 : 2;
}

// Unpacks the two 16-bit elements of a word, the lower half first.
vec2 unpack_halves(uint type, uint word)
{
    return type == TYPE_F16 ? unpackHalf2x16(word)
                            : vec2(uintBitsToFloat(word << 16), uintBitsToFloat(word & 0xffff0000u));
}

// Rounds to f16, to nearest even. The built-in function may truncate instead.
uint round_half(float x)
{
    uint bits = floatBitsToUint(x), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    if (size > 0x7f800000u)
        return 0x7e00u; // NaN
    if (size >= 0x47800000u)
        return sign | 0x7c00u;
    if (size < 0x38800000u) // below the smallest normal f16: adding 1/2 rounds to multiples of 2^-24
        return sign | (floatBitsToUint(uintBitsToFloat(size) + 0.5) - 0x3f000000u);
    return sign | (size - 0x38000000u + 0xfffu + (size >> 13 & 1u)) >> 13;
}

uint round_bfloat(float x)
{
    uint bits = floatBitsToUint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return 0x7fc0u;
    return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

uint round_16(uint type, float x)
{
    return type == TYPE_F16 ? round_half(x) : round_bfloat(x);
}

uint pack_halves(uint type, vec2 x)
{
    return round_16(type, x.x) | round_16(type, x.y) << 16;
}

// Element `index` of a row at any address.
float load_element(uint type, uvec2 row, uint index)
{
    if (type == TYPE_F32)
        return uintBitsToFloat(Words(row).w[index]);
    uvec2 address = advance(row, index, uvec2(2, 0));
    uint word = Words(uvec2(address.x & ~3u, address.y)).w[0];
    vec2 pair = unpack_halves(type, word);
    return (address.x & 2u) == 0u ? pair.x : pair.y;
}

// Eight elements of 16 bits from any address. They are in four words, or, if the first one is the upper half of a word,
// in five. Only words that have one of them are read.
void load_8_halves(uint type, uvec2 address, out vec4 a, out vec4 b)
{
    const bool in_middle = (address.x & 2u) != 0u;
    Words words = Words(uvec2(address.x & ~3u, address.y));
    uvec4 pairs = uvec4(words.w[0], words.w[1], words.w[2], words.w[3]);
    const uint last = words.w[in_middle ? 4 : 3];
    if (in_middle)
        pairs = pairs >> 16 | uvec4(pairs.yzw, last) << 16;
    a = vec4(unpack_halves(type, pairs.x), unpack_halves(type, pairs.y));
    b = vec4(unpack_halves(type, pairs.z), unpack_halves(type, pairs.w));
}

// Elements 8 * index to 8 * index + 7 of a row. `aligned`: the row begins at a multiple of 16 bytes.
void load_8(uint type, bool aligned, uvec2 row, uint index, out vec4 a, out vec4 b)
{
    if (!aligned && type != TYPE_F32)
        load_8_halves(type, advance(row, index, uvec2(16, 0)), a, b);
    else if (!aligned)
        for (uint i = 0; i < 4; i++) {
            a[i] = uintBitsToFloat(Words(row).w[8 * index + i]);
            b[i] = uintBitsToFloat(Words(row).w[8 * index + 4 + i]);
        }
    else if (type == TYPE_F32) {
        a = uintBitsToFloat(Quads(row).q[2 * index]);
        b = uintBitsToFloat(Quads(row).q[2 * index + 1]);
    } else {
        uvec4 words = Quads(row).q[index];
        a = vec4(unpack_halves(type, words.x), unpack_halves(type, words.y));
        b = vec4(unpack_halves(type, words.z), unpack_halves(type, words.w));
    }
}

// Elements 4 * index to 4 * index + 3 of a row.
void store_4(uint type, bool aligned, uvec2 row, uint index, vec4 x)
{
    if (type == TYPE_F32) {
        if (aligned)
            Quads(row).q[index] = floatBitsToUint(x);
        else
            for (uint i = 0; i < 4; i++)
                Words(row).w[4 * index + i] = floatBitsToUint(x[i]);
        return;
    }
    if (aligned) {
        Pairs(row).p[index] = uvec2(pack_halves(type, x.xy), pack_halves(type, x.zw));
        return;
    }
    // A row may begin in the middle of a word. Another invocation may write the other half, so each half is set
    // atomically.
    for (uint i = 0; i < 4; i++) {
        uvec2 address = advance(row, 4 * index + i, uvec2(2, 0));
        Words word = Words(uvec2(address.x & ~3u, address.y));
        uint shift = (address.x & 2u) * 8;
        atomicAnd(word.w[0], ~(0xffffu << shift));
        atomicOr(word.w[0], round_16(type, x[i]) << shift);
    }
}

// Loads `count` (1 to 4) bytes from any address. The first byte is the lowest one. Bytes above them are undefined.
uint load_bytes(uvec2 address, uint count)
{
    Words words = Words(uvec2(address.x & ~3u, address.y));
    uint skip = address.x & 3u;
    uint bytes = words.w[0] >> 8 * skip;
    if (skip + count > 4)
        bytes |= words.w[1] << 32 - 8 * skip;
    return bytes;
}

#endif
