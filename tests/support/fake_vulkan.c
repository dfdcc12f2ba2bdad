/* SPDX-License-Identifier: MIT */
#include "fake_vulkan.h"

#include "newer_vulkan.h"

#include <stdlib.h>
#include <string.h>

#define RELAXED memory_order_relaxed

static void note(fake_vulkan *v, bool right, const char *rule)
{
    if (right)
        return;
    atomic_fetch_add_explicit(&v->wrong, 1, RELAXED);
    atomic_store_explicit(&v->rule, rule, RELAXED);
}

/* ---- objects --------------------------------------------------------------------------------------------------- */

/* Handles are addresses of these. */
typedef struct fake_object {
    fake_vulkan *vulkan; /* NULL after it was destroyed */
    fake_kind kind;
    bool own_allocator;      /* it was created with the app's callbacks */
    VkPipelineLayout layout; /* a pipeline's */
} fake_object;

#define OBJECT(handle)       ((fake_object *)(uintptr_t)(handle))
#define HANDLE(type, object) ((type)(uintptr_t)(object))
#define DEVICE(device)       ((fake_vulkan *)(uintptr_t)(device))

static void check(fake_vulkan *v, const fake_object *object, fake_kind kind, const char *rule)
{
    note(v, object && object->vulkan == v && object->kind == kind, rule);
}

/* Counts a call. Returns an error if this call must fail. */
static VkResult next_call(fake_vulkan *v, const char *name)
{
    if (atomic_fetch_add_explicit(&v->calls, 1, RELAXED) + 1 != v->fail_at)
        return VK_SUCCESS;
    atomic_store_explicit(&v->failed, name, RELAXED);
    return v->failure;
}

static VkResult make(fake_vulkan *v, fake_kind kind, const VkAllocationCallbacks *allocator, fake_object **made)
{
    fake_object *object = allocator ? allocator->pfnAllocation(allocator->pUserData, sizeof *object,
                                                               _Alignof(fake_object), VK_SYSTEM_ALLOCATION_SCOPE_OBJECT)
                                    : malloc(sizeof *object);
    if (!object)
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    *object = (fake_object){.vulkan = v, .kind = kind, .own_allocator = allocator};
    atomic_fetch_add_explicit(&v->made[kind], 1, RELAXED);
    *made = object;
    return VK_SUCCESS;
}

static void destroy(fake_vulkan *v, fake_object *object, fake_kind kind, const VkAllocationCallbacks *allocator)
{
    if (!object)
        return;
    check(v, object, kind, "a destroyed object is of this device and kind");
    note(v, object->own_allocator == (allocator != NULL),
         "callbacks are given for both creation and destruction, or for neither");
    object->vulkan = NULL;
    atomic_fetch_add_explicit(&v->destroyed[kind], 1, RELAXED);
    if (allocator)
        allocator->pfnFree(allocator->pUserData, object);
    else
        free(object);
}

/* Functions that create and destroy a simple kind of object. A failure leaves garbage in the handle, as in some
 * drivers. */
#define CREATE_AND_DESTROY(name, kind)                                                                           \
    static VKAPI_ATTR VkResult VKAPI_CALL Create##name(VkDevice device, const Vk##name##CreateInfo *info,        \
                                                       const VkAllocationCallbacks *allocator, Vk##name *handle) \
    {                                                                                                            \
        fake_object *object = (fake_object *)(uintptr_t)0xbad;                                                   \
        VkResult result = next_call(DEVICE(device), "vkCreate" #name);                                           \
        note(DEVICE(device), info != NULL, "a create info is given");                                            \
        if (!result)                                                                                             \
            result = make(DEVICE(device), kind, allocator, &object);                                             \
        *handle = HANDLE(Vk##name, object);                                                                      \
        return result;                                                                                           \
    }                                                                                                            \
    static VKAPI_ATTR void VKAPI_CALL Destroy##name(VkDevice device, Vk##name handle,                            \
                                                    const VkAllocationCallbacks *allocator)                      \
    {                                                                                                            \
        destroy(DEVICE(device), OBJECT(handle), kind, allocator);                                                \
    }

CREATE_AND_DESTROY(ShaderModule, FAKE_MODULE)
CREATE_AND_DESTROY(PipelineLayout, FAKE_LAYOUT)
CREATE_AND_DESTROY(PipelineCache, FAKE_CACHE)

static VKAPI_ATTR VkResult VKAPI_CALL CreateComputePipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                             const VkComputePipelineCreateInfo *infos,
                                                             const VkAllocationCallbacks *allocator,
                                                             VkPipeline *pipelines)
{
    fake_vulkan *v = DEVICE(device);
    note(v, count == 1, "pipelines are made one by one");
    check(v, OBJECT(cache), FAKE_CACHE, "every pipeline is made with a cache");
    note(v, !v->cache || cache == v->cache, "the app's cache is used for every pipeline");
    check(v, OBJECT(infos->stage.module), FAKE_MODULE, "a pipeline's module is alive");
    check(v, OBJECT(infos->layout), FAKE_LAYOUT, "a pipeline's layout is alive");
    if (v->compiling)
        v->compiling();
    VkResult result = next_call(v, "vkCreateComputePipelines");
    fake_object *object = NULL;
    if (!result)
        result = make(v, FAKE_PIPELINE, allocator, &object);
    if (object)
        object->layout = infos->layout;
    *pipelines = HANDLE(VkPipeline, object);
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL SetDebugUtilsObjectNameEXT(VkDevice device,
                                                                 const VkDebugUtilsObjectNameInfoEXT *info)
{
    fake_vulkan *v = DEVICE(device);
    note(v, v->debug_utils, "objects get names only if VK_EXT_debug_utils is enabled");
    note(v, info->objectType == VK_OBJECT_TYPE_PIPELINE && info->pObjectName[0], "only pipelines get names");
    check(v, OBJECT(info->objectHandle), FAKE_PIPELINE, "a pipeline that gets a name is alive");
    atomic_fetch_add_explicit(&v->named, 1, RELAXED);
    return VK_ERROR_OUT_OF_HOST_MEMORY; /* the library must ignore this */
}

static VKAPI_ATTR void VKAPI_CALL DestroyPipeline(VkDevice device, VkPipeline pipeline,
                                                  const VkAllocationCallbacks *allocator)
{
    destroy(DEVICE(device), OBJECT(pipeline), FAKE_PIPELINE, allocator);
}

static VKAPI_ATTR VkDeviceAddress VKAPI_CALL GetBufferDeviceAddress(VkDevice device,
                                                                    const VkBufferDeviceAddressInfo *info)
{
    (void)device; /* a buffer's handle is its address */
    return (VkDeviceAddress)(uintptr_t)info->buffer;
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

#define COMMANDS(commands) ((fake_commands *)(uintptr_t)(commands))

static void hash(fake_commands *c, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++) /* FNV-1a */
        c->hash = (c->hash ^ ((const unsigned char *)data)[i]) * 1099511628211u;
}

static void hash_dispatch(fake_commands *c, const uint32_t groups[6])
{
    const fake_object *pipeline = OBJECT(c->pipeline);
    note(c->vulkan, pipeline != NULL, "a pipeline is bound when something is dispatched");
    note(c->vulkan, pipeline && c->pushed == pipeline->layout, "constants were pushed with the layout of the pipeline");
    note(c->vulkan, groups[3] && groups[4] && groups[5], "there are workgroups to dispatch");
    hash(c, "dispatch", 8);
    hash(c, groups, 6 * sizeof *groups);
}

static VKAPI_ATTR void VKAPI_CALL CmdBindPipeline(VkCommandBuffer commands, VkPipelineBindPoint point,
                                                  VkPipeline pipeline)
{
    fake_commands *c = COMMANDS(commands);
    note(c->vulkan, point == VK_PIPELINE_BIND_POINT_COMPUTE, "only compute pipelines are bound");
    check(c->vulkan, OBJECT(pipeline), FAKE_PIPELINE, "a pipeline that is bound is alive and of this device");
    c->pipeline = pipeline;
    c->binds++;
    hash(c, "bind", 4);
}

static VKAPI_ATTR void VKAPI_CALL CmdPushConstants(VkCommandBuffer commands, VkPipelineLayout layout,
                                                   VkShaderStageFlags stages, uint32_t offset, uint32_t size,
                                                   const void *values)
{
    fake_commands *c = COMMANDS(commands);
    check(c->vulkan, OBJECT(layout), FAKE_LAYOUT, "push constants use an existing layout of this device");
    note(c->vulkan, stages == VK_SHADER_STAGE_COMPUTE_BIT, "constants are pushed only to the compute stage");
    note(c->vulkan, size && size % 4 == 0 && offset % 4 == 0 && offset + size <= 128,
         "at most 128 bytes of constants are pushed");
    c->pushed = layout;
    c->pushes++;
    hash(c, values, size);
}

static VKAPI_ATTR void VKAPI_CALL CmdPipelineBarrier(VkCommandBuffer commands, VkPipelineStageFlags source,
                                                     VkPipelineStageFlags target, VkDependencyFlags flags,
                                                     uint32_t memory_count, const VkMemoryBarrier *memory,
                                                     uint32_t buffer_count, const VkBufferMemoryBarrier *buffers,
                                                     uint32_t image_count, const VkImageMemoryBarrier *images)
{
    fake_commands *c = COMMANDS(commands);
    (void)flags, (void)memory, (void)buffers, (void)images;
    note(c->vulkan, source == VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT && target == VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
         "barriers are between compute shaders");
    note(c->vulkan, memory_count == 1 && !buffer_count && !image_count,
         "barriers are memory barriers, not for buffers or images");
    c->barriers++;
    hash(c, "barrier", 7);
}

static VKAPI_ATTR void VKAPI_CALL CmdDispatch(VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z)
{
    fake_commands *c = COMMANDS(commands);
    hash_dispatch(c, (const uint32_t[]){0, 0, 0, x, y, z});
    c->dispatches++;
}

static VKAPI_ATTR void VKAPI_CALL CmdDispatchBase(VkCommandBuffer commands, uint32_t base_x, uint32_t base_y,
                                                  uint32_t base_z, uint32_t x, uint32_t y, uint32_t z)
{
    fake_commands *c = COMMANDS(commands);
    hash_dispatch(c, (const uint32_t[]){base_x, base_y, base_z, x, y, z});
    c->slices++;
}

/* ---- the device, and its functions ------------------------------------------------------------------------------- */

static VKAPI_ATTR void VKAPI_CALL GetPhysicalDeviceProperties2(VkPhysicalDevice device,
                                                               VkPhysicalDeviceProperties2 *properties)
{
    VkPhysicalDeviceLimits *limits = &properties->properties.limits;
    properties->properties.apiVersion = VK_API_VERSION_1_3;
    limits->maxComputeWorkGroupInvocations = 1024;
    limits->maxComputeSharedMemorySize = 49152;
    for (int i = 0; i < 3; i++) {
        limits->maxComputeWorkGroupSize[i] = 1024;
        limits->maxComputeWorkGroupCount[i] = 65535;
    }
    for (VkBaseOutStructure *s = properties->pNext; s; s = s->pNext)
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES) {
            VkPhysicalDeviceSubgroupProperties *p = (void *)s;
            p->subgroupSize = 32;
            p->supportedStages = VK_SHADER_STAGE_COMPUTE_BIT;
            p->supportedOperations = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_VOTE_BIT
                                     | VK_SUBGROUP_FEATURE_BALLOT_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
        } else if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES) {
            VkPhysicalDeviceSubgroupSizeControlProperties *p = (void *)s;
            p->minSubgroupSize = p->maxSubgroupSize = 32;
            p->requiredSubgroupSizeStages = VK_SHADER_STAGE_COMPUTE_BIT;
        }
    if (DEVICE(device)->change_limits)
        DEVICE(device)->change_limits(properties);
}

static VKAPI_ATTR VkResult VKAPI_CALL GetPhysicalDeviceCooperativeMatrixPropertiesKHR(VkPhysicalDevice device,
                                                                                      uint32_t *count,
                                                                                      newer_matrix_properties *products)
{
    const VkResult result = next_call(DEVICE(device), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    if (result)
        return result;
    note(DEVICE(device), *count >= 1, "there is room for the matrix properties");
    *count = 1;
    products[0].MSize = products[0].NSize = products[0].KSize = 16;
    products[0].AType = products[0].BType = NEWER_COMPONENT_FLOAT16;
    products[0].CType = products[0].ResultType = NEWER_COMPONENT_FLOAT32;
    products[0].scope = NEWER_SCOPE_SUBGROUP;
    return VK_SUCCESS;
}

typedef struct named_function {
    const char *name;
    PFN_vkVoidFunction function;
} named_function;

static PFN_vkVoidFunction find(fake_vulkan *v, const named_function *functions, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(functions[i].name, name)) {
            if (v->loaded_count < FAKE_NAMES)
                v->loaded[v->loaded_count++] = functions[i].name;
            return functions[i].function;
        }
    if (v->refused_count < FAKE_NAMES)
        v->refused[v->refused_count++] = name;
    return NULL;
}

#define FUNCTION(name)                       \
    {                                        \
        "vk" #name, (PFN_vkVoidFunction)name \
    }

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetDeviceProcAddr(VkDevice device, const char *name)
{
    static const named_function functions[] = {
        FUNCTION(CreateShaderModule),
        FUNCTION(DestroyShaderModule),
        FUNCTION(CreatePipelineLayout),
        FUNCTION(DestroyPipelineLayout),
        FUNCTION(CreatePipelineCache),
        FUNCTION(DestroyPipelineCache),
        FUNCTION(CreateComputePipelines),
        FUNCTION(DestroyPipeline),
        FUNCTION(GetBufferDeviceAddress),
        FUNCTION(CmdBindPipeline),
        FUNCTION(CmdPushConstants),
        FUNCTION(CmdPipelineBarrier),
        FUNCTION(CmdDispatch),
        FUNCTION(CmdDispatchBase),
    };
    return find(DEVICE(device), functions, sizeof functions / sizeof *functions, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetInstanceProcAddr(VkInstance instance, const char *name)
{
    if (!strcmp(name, "vkSetDebugUtilsObjectNameEXT")) /* it may be absent */
        return DEVICE(instance)->debug_utils ? (PFN_vkVoidFunction)SetDebugUtilsObjectNameEXT : NULL;
    static const named_function functions[] = {
        FUNCTION(GetDeviceProcAddr),
        FUNCTION(GetPhysicalDeviceProperties2),
        FUNCTION(GetPhysicalDeviceCooperativeMatrixPropertiesKHR),
    };
    return find(DEVICE(instance), functions, sizeof functions / sizeof *functions, name);
}

void fake_vulkan_init(fake_vulkan *v)
{
    dmattn_device_needs needs;
    dmattn_get_device_needs(VK_API_VERSION_1_3, &needs);
    memset(v, 0, sizeof *v);
    v->features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    v->features.pNext = &v->address;
    v->address.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES;
    v->address.pNext = (void *)needs.recommended;
    v->address.bufferDeviceAddress = VK_TRUE;
    v->desc = (dmattn_context_desc){.get_instance_proc_addr = GetInstanceProcAddr,
                                    .instance = HANDLE(VkInstance, v),
                                    .physical_device = HANDLE(VkPhysicalDevice, v),
                                    .device = HANDLE(VkDevice, v),
                                    .api_version = VK_API_VERSION_1_3,
                                    .enabled_extension_count = needs.recommended_extension_count,
                                    .enabled_extensions = needs.recommended_extensions,
                                    .enabled_features = &v->features};
}

VkPipelineCache fake_vulkan_cache(fake_vulkan *v)
{
    fake_object *object = NULL;
    return make(v, FAKE_CACHE, NULL, &object) ? VK_NULL_HANDLE : HANDLE(VkPipelineCache, object);
}

void fake_vulkan_cache_destroy(fake_vulkan *v, VkPipelineCache cache)
{
    destroy(v, OBJECT(cache), FAKE_CACHE, NULL);
}

int fake_vulkan_live(const fake_vulkan *v)
{
    int live = 0;
    for (int i = 0; i < FAKE_KINDS; i++)
        live += (int)v->made[i] - (int)v->destroyed[i];
    return live;
}

VkCommandBuffer fake_commands_begin(fake_vulkan *v, fake_commands *commands)
{
    *commands = (fake_commands){.vulkan = v, .hash = 14695981039346656037u};
    return HANDLE(VkCommandBuffer, commands);
}
