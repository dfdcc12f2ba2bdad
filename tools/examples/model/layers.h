/* SPDX-License-Identifier: MIT
 * The transformer without its attention: the app's own shaders for the other parts of a layer, and the buffers between
 * them. model.c puts the attention of one sequence into it, and server.c that of many. */
#ifndef EXAMPLE_LAYERS_H
#define EXAMPLE_LAYERS_H

#include "vulkan/vulkan_app.h"
#include "weights.h"

/* The app's own shaders, in the order of names[] in layers.c. */
typedef enum shader { EMBED, NORM, MATMUL, ROPE, GATE, ARGMAX, SHADER_COUNT } shader;

/* The push constants, as in shaders/common.glsl. */
typedef struct params {
    VkDeviceAddress source, target, weight, other, sequence;
    uint32_t rows, width, columns, option, dim;
    float epsilon;
} params;

typedef struct sequence {
    uint32_t position; /* a run processes the tokens from this one on */
    uint32_t token[];
} sequence;

typedef struct layers {
    app *app;
    const weights *weights;
    uint32_t max_rows;
    VkPipelineLayout layout;
    VkPipeline pipelines[SHADER_COUNT];
    buffer sequence;                                 /* in host memory: a sequence with max_rows + 1 tokens */
    buffer rope;                                     /* [positions, head_dim]; the owner makes and fills it */
    buffer parameters;                               /* the weights */
    buffer x, normed, qkv, attended, gate_up, gated; /* a row for each token of a run */
} layers;

/* `w` must outlive the layers. */
void layers_create(layers *l, app *a, const weights *w, uint32_t max_rows);
void layers_destroy(layers *l);

/* A buffer of floats on the device; a row of q, k and v, in floats. */
buffer device_floats(app *a, size_t count);
uint32_t qkv_width(const model_shape *s);

/* The attention of a layer of the model. q, k and v are slices of the rows that one matrix product computes; with
 * strides dmattn reads them in place. An item of a batch has `queries` rows. */
dmattn_attention_desc layers_attention(const layers *l, uint32_t batch, uint32_t queries, uint32_t keys);

/* ---- recording --------------------------------------------------------------------------------------------------- */

/* A command buffer that is being recorded. */
typedef struct recording {
    const layers *l;
    VkCommandBuffer commands;
    uint32_t rows;                                       /* count of tokens */
    void (*attend)(struct recording *r, uint32_t layer); /* computes l->attended from l->qkv */
    const void *user;                                    /* of attend() */
    VkPipelineStageFlags stages;                         /* of the last dispatch or copy */
    VkAccessFlags writes;                                /* of the last dispatch or copy */
} recording;

/* Records a barrier before commands with these stages and accesses, which read what the last ones have written. */
void record_order(recording *r, VkPipelineStageFlags stages, VkAccessFlags reads, VkAccessFlags writes);
/* The same before a run of a plan. */
void record_order_plan(recording *r, const dmattn_plan *plan);

/* One of the app's shaders. */
void record_shader(recording *r, shader s, params p, uint32_t groups_x, uint32_t groups_y);

/* From the tokens of the run to l->x. */
void record_layers(recording *r);

/* The logits of the first r->rows rows of `x`. at_position: `logits` has a row for each position of the sequence. */
void record_logits(recording *r, const buffer *x, const buffer *logits, bool at_position);

/* A whole buffer; a buffer of floats from an offset to its end. */
dmattn_buffer whole(const buffer *b);
dmattn_buffer from_float(const buffer *b, size_t offset);

#endif
