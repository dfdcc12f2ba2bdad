/* SPDX-License-Identifier: MIT */
#include "recorder.h"

/* Records everything except the dispatch. */
static void prepare(recorder *r, VkPipeline pipeline, const void *params, uint32_t params_size)
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
    vk->CmdPushConstants(r->commands, r->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, params_size, params);
}

void dmattn_recorder_dispatch(recorder *r, VkPipeline pipeline, const void *params, uint32_t params_size, grid g)
{
    prepare(r, pipeline, params, params_size);
    r->ctx->vk.CmdDispatch(r->commands, g.x, g.y, g.z);
}

/* A barrier covers all dispatches before it, so the next dispatch that waits, waits for both. */
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

static uint32_t at_most(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

void dmattn_recorder_dispatch_slices(recorder *r, VkPipeline pipeline, const void *params, uint32_t params_size, grid g,
                                     uint32_t most)
{
    /* Slices are whole planes if a plane fits, otherwise whole rows if a row fits, otherwise pieces of a row. */
    const uint64_t row = g.x, plane = row * g.y;
    const grid slice = plane <= most ? (grid){g.x, g.y, at_most(g.z, (uint32_t)(most / plane))}
                       : row <= most ? (grid){g.x, at_most(g.y, most / g.x), 1}
                                     : (grid){most ? most : 1, 1, 1};
    prepare(r, pipeline, params, params_size);
    for (uint32_t z = 0; z < g.z; z += slice.z)
        for (uint32_t y = 0; y < g.y; y += slice.y)
            for (uint32_t x = 0; x < g.x; x += slice.x)
                r->ctx->vk.CmdDispatchBase(r->commands, x, y, z, at_most(slice.x, g.x - x), at_most(slice.y, g.y - y),
                                           at_most(slice.z, g.z - z));
}
