/* SPDX-License-Identifier: MIT */
#include "work.h"

#include "die.h"
#include "kernel.h"

#include <string.h>

/* ---- buffers ----------------------------------------------------------------------------------------------------- */

buffer app_buffer(app *a, memory_kind kind, VkDeviceSize size)
{
    const uint32_t families[] = {a->compute.family, a->transfer.family};
    return memory_buffer(a->memory, kind, size, families, families[0] == families[1] ? 1 : 2);
}

/* ---- submissions ------------------------------------------------------------------------------------------------- */

VkCommandBuffer app_begin(app *a, const app_queue *queue)
{
    const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = queue->pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = 1};
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkCommandBuffer commands;
    VK(vkAllocateCommandBuffers(a->device, &info, &commands));
    VK(vkBeginCommandBuffer(commands, &begin));
    return commands;
}

void app_submit(app *a, const app_queue *queue, VkCommandBuffer commands)
{
    /* The semaphore makes all writes of earlier submissions visible. */
    const uint64_t wait = a->submitted, signal = ++a->submitted;
    const VkPipelineStageFlags stages = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    const VkTimelineSemaphoreSubmitInfo values = {.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                                  .waitSemaphoreValueCount = 1,
                                                  .pWaitSemaphoreValues = &wait,
                                                  .signalSemaphoreValueCount = 1,
                                                  .pSignalSemaphoreValues = &signal};
    const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                               .pNext = &values,
                               .waitSemaphoreCount = 1,
                               .pWaitSemaphores = &a->timeline,
                               .pWaitDstStageMask = &stages,
                               .commandBufferCount = 1,
                               .pCommandBuffers = &commands,
                               .signalSemaphoreCount = 1,
                               .pSignalSemaphores = &a->timeline};
    VK(vkQueueSubmit(queue->queue, 1, &info, VK_NULL_HANDLE));
}

void app_wait(app *a)
{
    const VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                      .semaphoreCount = 1,
                                      .pSemaphores = &a->timeline,
                                      .pValues = &a->submitted};
    VK(vkWaitSemaphores(a->device, &info, UINT64_MAX));
}

/* ---- copies ------------------------------------------------------------------------------------------------------ */

static void copy(app *a, const buffer *from, const buffer *to, VkDeviceSize size, bool to_host)
{
    VkCommandBuffer commands = app_begin(a, &a->transfer);
    vkCmdCopyBuffer(commands, from->handle, to->handle, 1, &(VkBufferCopy){.size = size});
    if (to_host) {
        const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                         .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                         .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
        vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0,
                             NULL, 0, NULL);
    }
    VK(vkEndCommandBuffer(commands));
    app_submit(a, &a->transfer, commands);
}

void app_upload(app *a, const buffer *to, const void *data, VkDeviceSize size)
{
    const buffer staging = app_buffer(a, MEMORY_HOST, size); /* freed with all other memory, because uploads are few */
    memcpy(staging.mapped, data, size);
    copy(a, &staging, to, size, false);
}

void app_download(app *a, const buffer *from, void *data, VkDeviceSize size)
{
    const buffer staging = app_buffer(a, MEMORY_HOST, size);
    copy(a, from, &staging, size, true);
    app_wait(a);
    memcpy(data, staging.mapped, size);
}

/* ---- pipelines --------------------------------------------------------------------------------------------------- */

VkPipeline app_pipeline(app *a, VkPipelineLayout layout, const char *name)
{
    const kernel *k = NULL;
    for (size_t i = 0; i < example_kernel_count; i++)
        k = !strcmp(example_kernels[i].name, name) ? &example_kernels[i] : k;
    if (!k)
        die("there is no shader %s", name);
    const VkShaderModuleCreateInfo module = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = k->size, .pCode = k->code};
    VkComputePipelineCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
                                        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                                                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                                                  .pName = "main"},
                                        .layout = layout};
    VkPipeline pipeline;
    VK(vkCreateShaderModule(a->device, &module, NULL, &info.stage.module));
    VK(vkCreateComputePipelines(a->device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline));
    vkDestroyShaderModule(a->device, info.stage.module, NULL);
    return pipeline;
}
