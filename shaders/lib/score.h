/* SPDX-License-Identifier: MIT
 * Specialization constants of score.glsl, for C and for GLSL. The kernels of attention, of its gradients and of
 * decoding have them, with the same ids. */
#ifndef DMATTN_SCORE_H
#define DMATTN_SCORE_H

/* X(id, name, default). They are floats, stored as their bits. */
#define SCORE_CONSTANTS(X)                                  \
    X(96, SCALE, 0x3f800000)                                \
    X(97, SOFT_CAP, 0) /* 0: scores have no soft cap */

#endif
