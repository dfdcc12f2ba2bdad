/* SPDX-License-Identifier: MIT
 * Grids with more workgroups than a device allows in a dimension: each workgroup runs in exactly one part, and no
 * part is larger than the device allows. Without a device. */
#include "kernel.h"
#include "recorder.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

/* What was recorded for a grid. runs[i]: how often workgroup i runs. */
static struct {
    grid whole;
    const uint32_t *limits;
    uint32_t first[3]; /* of the part, as the last push constant says */
    unsigned dispatches, pushes, barriers;
    unsigned char *runs;
} seen;

static VKAPI_ATTR void VKAPI_CALL bind_pipeline(VkCommandBuffer commands, VkPipelineBindPoint point,
                                                VkPipeline pipeline)
{
    (void)commands, (void)point, (void)pipeline;
}

static VKAPI_ATTR void VKAPI_CALL push_constants(VkCommandBuffer commands, VkPipelineLayout layout,
                                                 VkShaderStageFlags stages, uint32_t offset, uint32_t size,
                                                 const void *values)
{
    uint32_t words[32];
    (void)commands, (void)layout, (void)stages;
    cr_assert_eq(offset, 0);
    cr_assert_eq(size, 128);
    memcpy(words, values, size);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(words[i], 100 + i, "parameter %u is %u", i, words[i]);
    seen.first[0] = (words[31] & 0xfff) * 32768;
    seen.first[1] = (words[31] >> 12 & 0x3ff) * 32768;
    seen.first[2] = (words[31] >> 22) * 32768;
    seen.pushes++;
}

static VKAPI_ATTR void VKAPI_CALL dispatch_base(VkCommandBuffer commands, uint32_t base_x, uint32_t base_y,
                                                uint32_t base_z, uint32_t count_x, uint32_t count_y, uint32_t count_z)
{
    const uint32_t base[3] = {base_x, base_y, base_z}, count[3] = {count_x, count_y, count_z};
    const uint32_t whole[3] = {seen.whole.x, seen.whole.y, seen.whole.z};
    (void)commands;
    for (int i = 0; i < 3; i++) {
        cr_assert(count[i] > 0 && (uint64_t)base[i] + count[i] <= seen.limits[i], "dimension %d: %u from %u on", i,
                  count[i], base[i]);
        cr_assert_leq((uint64_t)seen.first[i] + base[i] + count[i], whole[i], "dimension %d", i);
    }
    for (uint64_t z = 0; z < count_z; z++)
        for (uint64_t y = 0; y < count_y; y++)
            for (uint64_t x = 0; x < count_x; x++)
                seen.runs[((seen.first[2] + base_z + z) * whole[1] + seen.first[1] + base_y + y) * whole[0]
                          + seen.first[0] + base_x + x]++;
    seen.dispatches++;
}

static VKAPI_ATTR void VKAPI_CALL dispatch(VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z)
{
    dispatch_base(commands, 0, 0, 0, x, y, z);
}

static VKAPI_ATTR void VKAPI_CALL barrier(VkCommandBuffer commands, VkPipelineStageFlags source,
                                          VkPipelineStageFlags target, VkDependencyFlags flags, uint32_t memory_count,
                                          const VkMemoryBarrier *memory, uint32_t buffer_count,
                                          const VkBufferMemoryBarrier *buffers, uint32_t image_count,
                                          const VkImageMemoryBarrier *images)
{
    (void)commands, (void)source, (void)target, (void)flags, (void)memory_count, (void)memory;
    (void)buffer_count, (void)buffers, (void)image_count, (void)images;
    seen.barriers++;
}

/* Records a grid for a device with these limits, in slices of at most `most` workgroups; 0: not in slices. */
static void record(const uint32_t limits[3], grid g, uint32_t most, unsigned parts)
{
    const uint64_t count = (uint64_t)g.x * g.y * g.z;
    const uint32_t params[5] = {100, 101, 102, 103, 104};
    dmattn_context ctx = {.vk = {.CmdBindPipeline = bind_pipeline,
                                 .CmdPushConstants = push_constants,
                                 .CmdPipelineBarrier = barrier,
                                 .CmdDispatch = dispatch,
                                 .CmdDispatchBase = dispatch_base}};
    memcpy(ctx.caps.max_workgroup_count, limits, sizeof ctx.caps.max_workgroup_count);
    recorder r = {.ctx = &ctx, .begun = true};
    memset(&seen, 0, sizeof seen);
    seen.whole = g;
    seen.limits = limits;
    seen.runs = calloc(count, 1);
    if (most)
        dmattn_recorder_dispatch_slices(&r, VK_NULL_HANDLE, params, sizeof params, g, most);
    else
        dmattn_recorder_dispatch(&r, VK_NULL_HANDLE, params, sizeof params, g);
    for (uint64_t i = 0; i < count; i++)
        cr_assert_eq(seen.runs[i], 1, "%u x %u x %u in slices of %u: workgroup %llu runs %u times", g.x, g.y, g.z, most,
                     (unsigned long long)i, seen.runs[i]);
    cr_expect_eq(seen.pushes, parts, "%u x %u x %u: %u parts instead of %u", g.x, g.y, g.z, seen.pushes, parts);
    cr_expect_eq(seen.barriers, 1, "parts wait for each other");
    if (!most)
        cr_expect_eq(seen.dispatches, parts);
    free(seen.runs);
}

static const uint32_t least[3] = {65535, 65535, 65535}, wide[3] = {0x7fffffff, 65535, 65535};

/* Grids just below and just above the limits of each dimension. */
Test(grid, parts)
{
    record(least, (grid){65535, 2, 3}, 0, 1);
    record(least, (grid){65536, 2, 3}, 0, 2);
    record(least, (grid){65537, 2, 3}, 0, 3);
    record(wide, (grid){65537, 2, 3}, 0, 1);
    record(least, (grid){2, 65535, 3}, 0, 1);
    record(least, (grid){2, 70000, 3}, 0, 3);
    record(wide, (grid){2, 70000, 3}, 0, 3);
    record(least, (grid){2, 3, 65535}, 0, 1);
    record(least, (grid){2, 3, 200000}, 0, 7);
    record(least, (grid){66000, 1, 66000 / 100}, 0, 3);
    record((const uint32_t[]){65535, 65535, 70000}, (grid){1, 65536, 70000 / 100}, 0, 2);
}

Test(grid, parts_in_slices)
{
    const uint32_t slices[] = {1000000, 40000, 32768, 5000, 777};
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) {
        record(least, (grid){3, 70000, 2}, slices[i], 3);
        record(least, (grid){70000, 3, 1}, slices[i], 3);
        record(least, (grid){1, 2, 140000}, slices[i], 5);
        record(least, (grid){100, 20, 30}, slices[i], 1);
    }
}

static char sentence[256];

static void keep(void *user, dmattn_severity severity, const char *text)
{
    (void)user, (void)severity;
    strncpy(sentence, text, sizeof sentence - 1);
}

/* The largest grids that can be divided into parts. */
Test(grid, limits)
{
    const uint32_t most[3] = {1u << 27, 1u << 25, 1u << 25};
    dmattn_context ctx = {.messenger = {keep, NULL}};
    memcpy(ctx.caps.max_workgroup_count, wide, sizeof wide);
    cr_expect_eq(dmattn_check_grid(&ctx, "a grid", (grid){wide[0], most[1], most[2]}), DMATTN_SUCCESS);
    memcpy(ctx.caps.max_workgroup_count, least, sizeof least);
    cr_expect_eq(dmattn_check_grid(&ctx, "a grid", (grid){most[0], most[1], most[2]}), DMATTN_SUCCESS);
    for (int i = 0; i < 3; i++) {
        uint32_t n[3] = {1, 1, 1};
        n[i] = most[i] + 1;
        sentence[0] = 0;
        cr_expect_eq(dmattn_check_grid(&ctx, "a grid", (grid){n[0], n[1], n[2]}), DMATTN_ERROR_UNSUPPORTED);
        cr_expect(strstr(sentence, "a grid needs"), "%s", sentence);
    }
}
