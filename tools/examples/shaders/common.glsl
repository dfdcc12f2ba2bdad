// SPDX-License-Identifier: MIT
// Shared by the shaders of this app. They are simple and slow; a real app has its own.
#extension GL_EXT_buffer_reference : require

layout(buffer_reference, std430, buffer_reference_align = 16) buffer Floats {
    float v[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Vectors {
    vec4 v[];
};
// Tokens 0 to position - 1 are in the cache; a run processes the tokens from token[position] on.
layout(buffer_reference, std430, buffer_reference_align = 16) buffer Sequence {
    uint position;
    uint token[];
};

#ifndef OPERAND // the type by which source and weight are read
#define OPERAND Floats
#endif

// struct params in model.c
layout(push_constant, std430) uniform Params {
    OPERAND source;
    Floats target;
    OPERAND weight;
    Floats other;
    Sequence sequence;
    uint rows;    // number of tokens in the run
    uint width;   // of a source row
    uint columns; // of a target row; rope.comp: number of heads
    uint option;  // see the shader
    uint dim;     // of a head
    float epsilon; // of a norm
} p;

layout(local_size_x = 64) in;
