// SPDX-License-Identifier: MIT
// What the shaders of this app have in common. They are naive: see them as placeholders for an app's own.
#extension GL_EXT_buffer_reference : require

layout(buffer_reference, std430, buffer_reference_align = 16) buffer Floats {
    float v[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Vectors {
    vec4 v[];
};
// Tokens 0 to position - 1 are in the cache; a run is about those from token[position] on.
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Sequence {
    uint position;
    uint token[];
};

#ifndef OPERAND // how source and weight are read
#define OPERAND Floats
#endif

// struct params in model.c
layout(push_constant, std430) uniform Params {
    OPERAND source;
    Floats target;
    OPERAND weight;
    Floats other;
    Sequence sequence;
    uint rows;    // tokens of the run
    uint width;   // of a row of the source
    uint columns; // of a row of the target, or heads
    uint option;  // see each
    uint dim;     // of a head
} p;

layout(local_size_x = 64) in;
