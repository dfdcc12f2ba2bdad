/* SPDX-License-Identifier: MIT */
#include "recorder.h"

#include <string.h>

/* Records everything except push constants and dispatches. */
static void prepare(recorder *r, VkPipeline pipeline)
{
    const vulkan_table *vk = &r->ctx->vk;
    /* The execution dependency also covers reads: the next dispatch may overwrite what this one reads. */
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
    if (r->begun)
        vk->CmdPipelineBarrier(r->commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                               0, 1, &barrier, 0, NULL, 0, NULL);
    r->begun = true;
    vk->CmdBindPipeline(r->commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
}

static uint32_t at_most(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Workgroups of a part of a grid in one dimension. */
static uint32_t part_size(const recorder *r, uint32_t workgroups, int dimension)
{
    return workgroups <= r->ctx->caps.max_workgroup_count[dimension] ? workgroups : PART_GROUPS;
}

/* Pushes the parameters of a kernel and the position of a part, whose first workgroup is (x, y, z). */
static void push(const recorder *r, const void *params, uint32_t size, uint32_t x, uint32_t y, uint32_t z)
{
    uint32_t constants[PUSH_CONSTANTS / 4] = {0};
    memcpy(constants, params, size);
    constants[PART_AT / 4] =
        x / PART_GROUPS | y / PART_GROUPS << PART_X_BITS | z / PART_GROUPS << (PART_X_BITS + PART_Y_BITS);
    r->ctx->vk.CmdPushConstants(r->commands, r->ctx->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof constants,
                                constants);
}

/* Dispatches a part of a grid in slices of at most `most` workgroups: whole planes if one fits, otherwise whole rows,
 * otherwise pieces of a row. */
static void dispatch_part(const recorder *r, grid g, uint32_t most)
{
    const uint64_t row = g.x, plane = row * g.y;
    const grid slice = plane <= most ? (grid){g.x, g.y, at_most(g.z, (uint32_t)(most / plane))}
                       : row <= most ? (grid){g.x, at_most(g.y, most / g.x), 1}
                                     : (grid){most, 1, 1};
    for (uint32_t z = 0; z < g.z; z += slice.z)
        for (uint32_t y = 0; y < g.y; y += slice.y)
            for (uint32_t x = 0; x < g.x; x += slice.x)
                r->ctx->vk.CmdDispatchBase(r->commands, x, y, z, at_most(slice.x, g.x - x), at_most(slice.y, g.y - y),
                                           at_most(slice.z, g.z - z));
}

/* `most`: 0: parts are not divided into slices. */
static void dispatch(recorder *r, VkPipeline pipeline, const void *params, uint32_t size, grid g, uint32_t most)
{
    const grid part = {part_size(r, g.x, 0), part_size(r, g.y, 1), part_size(r, g.z, 2)};
    prepare(r, pipeline);
    for (uint32_t z = 0; z < g.z; z += part.z)
        for (uint32_t y = 0; y < g.y; y += part.y)
            for (uint32_t x = 0; x < g.x; x += part.x) {
                const grid here = {at_most(part.x, g.x - x), at_most(part.y, g.y - y), at_most(part.z, g.z - z)};
                push(r, params, size, x, y, z);
                if (most)
                    dispatch_part(r, here, most);
                else
                    r->ctx->vk.CmdDispatch(r->commands, here.x, here.y, here.z);
            }
}

void dmattn_recorder_dispatch(recorder *r, VkPipeline pipeline, const void *params, uint32_t params_size, grid g)
{
    dispatch(r, pipeline, params, params_size, g, 0);
}

void dmattn_recorder_dispatch_slices(recorder *r, VkPipeline pipeline, const void *params, uint32_t params_size, grid g,
                                     uint32_t most)
{
    dispatch(r, pipeline, params, params_size, g, most ? most : 1);
}

/* A barrier covers all dispatches before it. So the next barrier also covers the dispatch before this call. */
void dmattn_recorder_beside(recorder *r)
{
    r->begun = false;
}

void dmattn_recorder_one_of(recorder *r, bool *first)
{
    if (!*first)
        dmattn_recorder_beside(r);
    *first = false;
}
