/* SPDX-License-Identifier: MIT */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#endif

#include "null_device.h"

#include "runtime/enable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- between the library and the driver ------------------------------------------------------------------------ */

static struct between {
    PFN_vkGetInstanceProcAddr get_instance_proc_addr;
    PFN_vkGetDeviceProcAddr get_device_proc_addr;
    PFN_vkCreateShaderModule create_shader_module;
    PFN_vkCreateComputePipelines create_compute_pipelines;
    PFN_vkGetPipelineExecutablePropertiesKHR get_properties;
    PFN_vkGetPipelineExecutableStatisticsKHR get_statistics;
    VkShaderModule module; /* the last one; the library makes its next pipeline from it */
    const kernel *kernel;  /* of that module */
    const messenger *messenger;
    pipeline_fn pipeline;
    void *user;
} between;

/* What drivers call a statistic. A driver may report several parts of one, which are added. */
static const struct {
    statistic statistic;
    const char *name;
} names[] = {
    /* RADV */
    {STATISTIC_REGISTERS, "VGPRs"},
    {STATISTIC_SPILLS, "Spilled SGPRs"},
    {STATISTIC_SPILLS, "Spilled VGPRs"},
    {STATISTIC_SCRATCH, "Scratch size"},
    {STATISTIC_SHARED, "LDS size"},
    {STATISTIC_CYCLES, "Inverse Throughput"},
    {STATISTIC_RESIDENT, "Subgroups per SIMD"},
    /* ANV. Its "Scratch Memory Size" is 0 in spite of spills. */
    {STATISTIC_REGISTERS, "Max live registers"},
    {STATISTIC_SHARED, "Workgroup Memory Size"},
    {STATISTIC_CYCLES, "Cycles"},
    /* Honeykrisp */
    {STATISTIC_REGISTERS, "GPRs"},
    {STATISTIC_SCRATCH, "Scratch"},
    {STATISTIC_CYCLES, "ALU"},
    {STATISTIC_RESIDENT, "Threads"},
    /* Turnip */
    {STATISTIC_REGISTERS, "Registers used"},
    {STATISTIC_SPILLS, "STP Count"},
    {STATISTIC_FILLS, "LDP Count"},
    {STATISTIC_INSTRUCTIONS, "Instruction Count"},
    {STATISTIC_RESIDENT, "Max Waves Per Core"},
    /* NVK */
    {STATISTIC_REGISTERS, "Number of GPRs"},
    {STATISTIC_SPILLS, "Spills to memory"},
    {STATISTIC_FILLS, "Fills from memory"},
    {STATISTIC_SCRATCH, "SLM size"},
    {STATISTIC_INSTRUCTIONS, "Instruction count"},
    {STATISTIC_CYCLES, "Static cycle count"},
    {STATISTIC_RESIDENT, "Max warps/SM"},
    /* several of them */
    {STATISTIC_SPILLS, "Spills"},
    {STATISTIC_FILLS, "Fills"},
    {STATISTIC_INSTRUCTIONS, "Instructions"},
    {STATISTIC_CODE, "Code size"},
};

static uint64_t as_count(const VkPipelineExecutableStatisticKHR *s)
{
    switch (s->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: return s->value.b32;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR: return s->value.i64 < 0 ? 0 : (uint64_t)s->value.i64;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR: return s->value.f64 < 0 ? 0 : (uint64_t)s->value.f64;
    default: return s->value.u64;
    }
}

/* CPU time of the process: drivers may compile in other threads, and the machine may be busy. */
static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static uint64_t hash(const VkSpecializationInfo *info)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; info && i < info->dataSize; i++)
        h = (h ^ ((const unsigned char *)info->pData)[i]) * 1099511628211u;
    return h;
}

/* Calls back with the statistics of a pipeline. */
static VkResult ask(VkDevice device, VkPipeline pipeline, pipeline_statistics *p)
{
    enum { MAX = 64 };
    VkPipelineExecutablePropertiesKHR properties = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR};
    VkPipelineExecutableStatisticKHR statistics[MAX];
    const VkPipelineInfoKHR whole = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline};
    /* A compute pipeline has one executable. */
    const VkPipelineExecutableInfoKHR first = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                               .pipeline = pipeline};
    uint32_t executables = 1, count = MAX;
    for (uint32_t i = 0; i < MAX; i++)
        statistics[i] =
            (VkPipelineExecutableStatisticKHR){.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR};
    VkResult result = between.get_properties(device, &whole, &executables, &properties);
    if (result >= 0)
        result = between.get_statistics(device, &first, &count, statistics);
    if (result < 0)
        return result;
    p->subgroup_size = properties.subgroupSize;
    for (uint32_t i = 0; i < count; i++)
        for (size_t n = 0; n < sizeof names / sizeof *names; n++)
            if (!strcmp(statistics[i].name, names[n].name)) {
                p->known[names[n].statistic] = true;
                p->value[names[n].statistic] += as_count(&statistics[i]);
            }
    between.pipeline(between.user, p);
    return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_shader_module(VkDevice device, const VkShaderModuleCreateInfo *info,
                                                           const VkAllocationCallbacks *allocator,
                                                           VkShaderModule *module)
{
    const VkResult result = between.create_shader_module(device, info, allocator, module);
    between.kernel = NULL;
    for (size_t i = 0; i < dmattn_kernel_count; i++)
        if (dmattn_kernels[i].code == info->pCode)
            between.kernel = &dmattn_kernels[i];
    between.module = result < 0 ? VK_NULL_HANDLE : *module;
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_compute_pipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                               const VkComputePipelineCreateInfo *infos,
                                                               const VkAllocationCallbacks *allocator,
                                                               VkPipeline *pipelines)
{
    (void)cache; /* unused: it may have pipelines compiled without statistics */
    for (uint32_t i = 0; i < count; i++)
        pipelines[i] = VK_NULL_HANDLE;
    for (uint32_t i = 0; i < count; i++) {
        VkComputePipelineCreateInfo info = infos[i];
        info.flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR;
        const double start = cpu_seconds();
        VkResult result = between.create_compute_pipelines(device, VK_NULL_HANDLE, 1, &info, allocator, &pipelines[i]);
        const double seconds = cpu_seconds() - start;
        if (result)
            return result;
        pipeline_statistics p = {.kernel = info.stage.module == between.module ? between.kernel : NULL,
                                 .constants = hash(info.stage.pSpecializationInfo),
                                 .seconds = seconds};
        result = p.kernel ? ask(device, pipelines[i], &p) : VK_ERROR_UNKNOWN;
        if (result < 0)
            return result;
    }
    return VK_SUCCESS;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc_addr(VkDevice device, const char *name)
{
    if (!strcmp(name, "vkCreateShaderModule"))
        return (PFN_vkVoidFunction)create_shader_module;
    if (!strcmp(name, "vkCreateComputePipelines"))
        return (PFN_vkVoidFunction)create_compute_pipelines;
    return between.get_device_proc_addr(device, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance_proc_addr(VkInstance instance, const char *name)
{
    if (!strcmp(name, "vkGetDeviceProcAddr"))
        return (PFN_vkVoidFunction)get_device_proc_addr;
    return between.get_instance_proc_addr(instance, name);
}

/* ---- the device ------------------------------------------------------------------------------------------------ */

/* The only device, which tools/shim chose. */
static dmattn_status choose_device(null_device *d, const messenger *m, uint32_t *index)
{
    const dmattn_runtime_desc desc = {.message = m->fn, .message_user = m->user};
    TRY(dmattn_runtime_create(&desc, &d->runtime));
    TRY(dmattn_runtime_find_device(d->runtime, "0", index));
    return dmattn_runtime_device_info(d->runtime, *index, &d->info);
}

static dmattn_status load(const dmattn_runtime *runtime, VkDevice device, const messenger *m)
{
    const PFN_vkGetDeviceProcAddr get = runtime->vk.GetDeviceProcAddr;
    between.get_instance_proc_addr = runtime->loader.get_instance_proc_addr;
    between.get_device_proc_addr = get;
    between.create_shader_module = (PFN_vkCreateShaderModule)get(device, "vkCreateShaderModule");
    between.create_compute_pipelines = (PFN_vkCreateComputePipelines)get(device, "vkCreateComputePipelines");
    between.get_properties =
        (PFN_vkGetPipelineExecutablePropertiesKHR)get(device, "vkGetPipelineExecutablePropertiesKHR");
    between.get_statistics =
        (PFN_vkGetPipelineExecutableStatisticsKHR)get(device, "vkGetPipelineExecutableStatisticsKHR");
    if (!between.create_shader_module || !between.create_compute_pipelines || !between.get_properties
        || !between.get_statistics)
        return dmattn_fail(m, DMATTN_ERROR_UNSUPPORTED, "the driver has no statistics of pipelines");
    return DMATTN_SUCCESS;
}

/* Enables what the runtime enables, and statistics. */
static dmattn_status create_device(null_device *d, const physical_device *physical, enabled_set *enabled,
                                   const messenger *m)
{
    static const char *const extension = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    static const float priority = 1;
    const VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR statistics = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pNext = &enabled->features,
        .pipelineExecutableInfo = VK_TRUE};
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = physical->queue_family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const char **extensions = malloc((enabled->setup.extension_count + 1) * sizeof *extensions);
    if (!extensions)
        return dmattn_fail(m, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for extension names");
    for (uint32_t i = 0; i < enabled->setup.extension_count; i++)
        extensions[i] = enabled->extensions[i];
    extensions[enabled->setup.extension_count] = extension;
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = &statistics,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = enabled->setup.extension_count + 1,
                                     .ppEnabledExtensionNames = extensions};
    const VkResult result = d->runtime->vk.CreateDevice(physical->handle, &info, NULL, &d->device);
    free(extensions);
    if (result) {
        d->device = VK_NULL_HANDLE;
        return dmattn_fail_vulkan(m, result, "vkCreateDevice");
    }
    TRY(load(d->runtime, d->device, m));
    const dmattn_context_desc desc = {.get_instance_proc_addr = get_instance_proc_addr,
                                      .instance = d->runtime->instance,
                                      .physical_device = physical->handle,
                                      .device = d->device,
                                      .api_version = physical->api_version,
                                      .enabled_extension_count = enabled->setup.extension_count,
                                      .enabled_extensions = enabled->extensions,
                                      .enabled_features = &enabled->features,
                                      .message = m->fn,
                                      .message_user = m->user};
    return dmattn_context_create(&desc, &d->context);
}

static dmattn_status open_device(null_device *d, const messenger *m)
{
    uint32_t index = 0;
    enabled_set enabled;
    TRY(choose_device(d, m, &index));
    const physical_device *physical = &d->runtime->devices[index];
    TRY(dmattn_enabled_choose(d->runtime, physical, &enabled));
    return create_device(d, physical, &enabled, m);
}

dmattn_status null_device_open(null_device *device, pipeline_fn pipeline, void *pipeline_user,
                               dmattn_message_fn message, void *message_user)
{
    const messenger m = {message, message_user};
    memset(device, 0, sizeof *device);
    memset(&between, 0, sizeof between);
    between.pipeline = pipeline;
    between.user = pipeline_user;
    const dmattn_status status = open_device(device, &m);
    if (status)
        null_device_close(device);
    return status;
}

void null_device_close(null_device *device)
{
    dmattn_context_destroy(device->context);
    if (device->device) {
        const PFN_vkDestroyDevice destroy =
            (PFN_vkDestroyDevice)device->runtime->vk.GetDeviceProcAddr(device->device, "vkDestroyDevice");
        destroy(device->device, NULL);
    }
    dmattn_runtime_destroy(device->runtime);
    memset(device, 0, sizeof *device);
}
