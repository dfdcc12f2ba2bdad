/* SPDX-License-Identifier: MIT
 * The Vulkan functions that the runtime calls, as members of tables. A library with global symbols named vk* would
 * clash with an app that links the Vulkan loader. */
#ifndef DMATTN_RUNTIME_TABLE_H
#define DMATTN_RUNTIME_TABLE_H

#include <vulkan/vulkan_core.h>

/* Functions that need no instance. */
#define RUNTIME_GLOBAL_FUNCTIONS(X)         \
    X(CreateInstance)                       \
    X(EnumerateInstanceExtensionProperties) \
    X(EnumerateInstanceLayerProperties)     \
    X(EnumerateInstanceVersion)

#define RUNTIME_INSTANCE_FUNCTIONS(X)               \
    X(CreateDevice)                                 \
    X(DestroyInstance)                              \
    X(EnumerateDeviceExtensionProperties)           \
    X(EnumeratePhysicalDevices)                     \
    X(GetDeviceProcAddr)                            \
    X(GetPhysicalDeviceExternalBufferProperties)    \
    X(GetPhysicalDeviceExternalSemaphoreProperties) \
    X(GetPhysicalDeviceFeatures2)                   \
    X(GetPhysicalDeviceMemoryProperties)            \
    X(GetPhysicalDeviceProperties)                  \
    X(GetPhysicalDeviceProperties2)                 \
    X(GetPhysicalDeviceQueueFamilyProperties)

/* Of VK_EXT_debug_utils; NULL without validation. */
#define RUNTIME_DEBUG_FUNCTIONS(X)   \
    X(CreateDebugUtilsMessengerEXT)  \
    X(DestroyDebugUtilsMessengerEXT) \
    X(SetDebugUtilsObjectNameEXT)

#define RUNTIME_DEVICE_FUNCTIONS(X) \
    X(AllocateCommandBuffers)       \
    X(AllocateMemory)               \
    X(BeginCommandBuffer)           \
    X(BindBufferMemory)             \
    X(CmdCopyBuffer)                \
    X(CmdPipelineBarrier)           \
    X(CmdResetQueryPool)            \
    X(CmdWriteTimestamp)            \
    X(CreateBuffer)                 \
    X(CreateCommandPool)            \
    X(CreateFence)                  \
    X(CreateQueryPool)              \
    X(CreateSemaphore)              \
    X(DestroyBuffer)                \
    X(DestroyCommandPool)           \
    X(DestroyDevice)                \
    X(DestroyFence)                 \
    X(DestroyQueryPool)             \
    X(DestroySemaphore)             \
    X(DeviceWaitIdle)               \
    X(EndCommandBuffer)             \
    X(FreeMemory)                   \
    X(GetBufferMemoryRequirements2) \
    X(GetDeviceQueue)               \
    X(GetQueryPoolResults)          \
    X(MapMemory)                    \
    X(QueueSubmit)                  \
    X(ResetCommandBuffer)           \
    X(ResetFences)                  \
    X(WaitForFences)                \
    X(WaitSemaphores)

/* Of VK_KHR_external_memory_fd and VK_KHR_external_semaphore_fd; NULL if the device does not have the extension. */
#define RUNTIME_SHARING_FUNCTIONS(X) \
    X(GetMemoryFdKHR)                \
    X(GetSemaphoreFdKHR)

#define MEMBER(name) PFN_vk##name name;

typedef struct global_table {
    RUNTIME_GLOBAL_FUNCTIONS(MEMBER)
} global_table;

typedef struct instance_table {
    RUNTIME_INSTANCE_FUNCTIONS(MEMBER)
    RUNTIME_DEBUG_FUNCTIONS(MEMBER)
} instance_table;

typedef struct device_table {
    RUNTIME_DEVICE_FUNCTIONS(MEMBER)
    RUNTIME_SHARING_FUNCTIONS(MEMBER)
} device_table;

#undef MEMBER

#endif
