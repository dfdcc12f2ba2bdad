/* SPDX-License-Identifier: MIT
 * Values of FRAGMENT_LAYOUT, for C and for GLSL: which elements of a matrix each invocation of a subgroup holds.
 * src/capabilities.c has the drivers that use LAYOUT_QUAD_ROWS, fragment_layout.glsl its positions. The others are for
 * the form `shared` (lanes.glsl). */
#ifndef DMATTN_FRAGMENT_LAYOUT_H
#define DMATTN_FRAGMENT_LAYOUT_H

#define LAYOUT_UNKNOWN   0
#define LAYOUT_QUAD_ROWS 1 /* 16 x 16, subgroups of 32: the four invocations 4 i to 4 i + 3 hold rows i and i + 8 */
#define LAYOUT_COLUMNS   2 /* invocation n may hold column n of the second operand; the kernel finds out */
#define LAYOUT_ORDERED   3 /* any: operands are put in the order in which invocations hold them (for tests) */

#endif
