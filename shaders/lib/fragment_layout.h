/* SPDX-License-Identifier: MIT
 * How elements of matrices of 16 x 16 lie in the registers of a subgroup of 32, for C and for GLSL: the values of
 * FRAGMENT_LAYOUT. Their positions are in fragment_layout.glsl, the drivers that have them in src/capabilities.c. */
#ifndef DMATTN_FRAGMENT_LAYOUT_H
#define DMATTN_FRAGMENT_LAYOUT_H

#define LAYOUT_UNKNOWN   0
#define LAYOUT_QUAD_ROWS 1 /* rows i and i + 8 lie in the four neighbouring invocations from 4 i on */

#endif
