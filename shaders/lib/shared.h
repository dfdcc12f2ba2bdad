/* SPDX-License-Identifier: MIT
 * What C and GLSL share. A kernel's header (attention.h, …) is included by both and declares
 *   - its specialization constants as one list X(id, name, default);
 *   - its push constants as one list of members, at most 128 bytes, addresses first so that there is no padding.
 */
#ifndef DMATTN_SHARED_H
#define DMATTN_SHARED_H

/* Types of elements; the values are those of dmattn_type. */
#define TYPE_F32  0
#define TYPE_F16  1
#define TYPE_BF16 2
#define TYPE_COUNT 3

#ifdef GL_core_profile /* GLSL */

#define DMATTN_ADDRESS uvec2 /* low word, high word */
#define DMATTN_UINT    uint
#define DMATTN_FLOAT   float

#define DMATTN_CONSTANT(id, name, default_value) layout(constant_id = id) const uint name = default_value;

#else /* C */

#include <stdint.h>
typedef uint64_t DMATTN_ADDRESS;
typedef uint32_t DMATTN_UINT;
typedef float DMATTN_FLOAT;

#endif

#endif
