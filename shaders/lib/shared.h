/* SPDX-License-Identifier: MIT
 * What C and GLSL share. A kernel's header (attention.h, …) is included by both and declares
 *   - its specialization constants as one list X(id, name, default);
 *   - its push constants as one list of members, at most PART_AT bytes, addresses first so that there is no padding.
 */
#ifndef DMATTN_SHARED_H
#define DMATTN_SHARED_H

/* Types of elements; the values are those of dmattn_type. */
#define TYPE_F32   0
#define TYPE_F16   1
#define TYPE_BF16  2
#define TYPE_COUNT 3

/* Formats of rows of keys and values; the values are those of dmattn_format. Those of types are the type + 1. */
#define FORMAT_F32   1
#define FORMAT_F16   2
#define FORMAT_BF16  3
#define FORMAT_INT8  4
#define FORMAT_E4M3  5
#define FORMAT_Q8_0  6
#define FORMAT_Q4_0  7
#define FORMAT_COUNT 8
#define FORMAT_BLOCK 32 /* elements of a block */
#define Q8_0_BYTES   34 /* bytes of a block */
#define Q4_0_BYTES   18

/* Registers hold sums of this many columns of the output or of a gradient. Wider rows are made in bands, of which each
 * is a dispatch and computes the scores again. */
#define BAND 256

/* Parts of a grid of workgroups. A grid that has more workgroups in a dimension than the device allows (Vulkan
 * guarantees 65535) is dispatched in parts of PART_GROUPS workgroups in that dimension. The last of the 128 bytes of
 * push constants that Vulkan guarantees hold the position of the part, at PART_AT: bit fields of PART_X_BITS for x,
 * PART_Y_BITS for y and PART_Z_BITS for z. */
#define PART_GROUPS 32768
#define PART_X_BITS 12
#define PART_Y_BITS 10
#define PART_Z_BITS 10
#define PART_AT     124

#ifdef GL_core_profile /* GLSL */

#define DMATTN_ADDRESS uvec2 /* low word, high word */
#define DMATTN_UINT    uint
#define DMATTN_FLOAT   float

#define DMATTN_CONSTANT(id, name, default_value) layout(constant_id = id) const uint name = default_value;

/* The last member of each kernel's push constants. */
#define PART_PARAM layout(offset = PART_AT) uint part;

/* The first workgroup of a part. */
uvec3 first_workgroup(uint part)
{
    return PART_GROUPS
           * uvec3(bitfieldExtract(part, 0, PART_X_BITS), bitfieldExtract(part, PART_X_BITS, PART_Y_BITS),
                   part >> PART_X_BITS + PART_Y_BITS);
}

/* Replaces gl_WorkGroupID. Nothing replaces gl_NumWorkGroups, which is the number of workgroups in the part. */
#define WORKGROUP_ID (gl_WorkGroupID + first_workgroup(p.part))

#else /* C */

#include <stdint.h>
typedef uint64_t DMATTN_ADDRESS;
typedef uint32_t DMATTN_UINT;
typedef float DMATTN_FLOAT;

#endif

#endif
