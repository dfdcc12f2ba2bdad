/* SPDX-License-Identifier: MIT
 * Values of FRAGMENT_LAYOUT, for C and for GLSL: which elements of a 16 x 16 matrix each invocation of a subgroup of 32
 * holds. fragment_layout.glsl has the positions, src/capabilities.c the drivers that use the layouts. */
#ifndef DMATTN_FRAGMENT_LAYOUT_H
#define DMATTN_FRAGMENT_LAYOUT_H

#define LAYOUT_UNKNOWN   0
#define LAYOUT_QUAD_ROWS 1 /* the four invocations 4 i to 4 i + 3 hold rows i and i + 8 */

#endif
