/* SPDX-License-Identifier: MIT
 * A fake CUDA driver on top of Vulkan, for tests of shared memory on machines without CUDA. The library is loaded both
 * as libcuda.so.1 and as libvulkan.so.1. As the latter it forwards all calls to the loader at DMATTN_REAL_VULKAN and
 * remembers what is exported. Memory must be visible to the host, as that of a CPU device is; its host address serves
 * as the CUDA address. Timeline semaphores, which drivers for CPUs do not export, are exported as dummy descriptors;
 * they are signalled and waited for through Vulkan. A stream executes every operation immediately. */
#define _GNU_SOURCE /* memfd_create() */
#include "../../tools/cuda/cuda_driver.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vulkan/vulkan_core.h>

#define EXPORT __attribute__((visibility("default")))

enum { CUDA_ERROR_INVALID_VALUE = 1, CUDA_ERROR_INVALID_CONTEXT = 201, CUDA_ERROR_UNKNOWN = 999 };

static PFN_vkGetInstanceProcAddr real_instance_proc_addr;
static PFN_vkGetDeviceProcAddr real_device_proc_addr;
static PFN_vkEnumerateDeviceExtensionProperties real_extensions;
static PFN_vkGetPhysicalDeviceProperties2 real_properties;
static PFN_vkCreateDevice real_create_device;
static uint8_t uuid[VK_UUID_SIZE];
static _Thread_local CUcontext current; /* most calls need one */

/* ---- what was exported --------------------------------------------------------------------------------------- */

typedef struct exported {
    ino_t file; /* the inode of the descriptor */
    VkDevice device;
    VkDeviceMemory memory; /* or */
    VkSemaphore semaphore;
    void *address;
} exported;

static exported table[256];
static unsigned count;

static ino_t file_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) ? 0 : status.st_ino;
}

static exported *remember(int fd, exported what)
{
    what.file = file_of(fd);
    if (count == sizeof table / sizeof *table)
        abort();
    table[count] = what;
    return &table[count++];
}

/* Finds the exported object of an imported file descriptor and closes the descriptor. NULL: nothing here was exported
 * as this descriptor. */
static exported *take(int fd, bool memory)
{
    const ino_t file = file_of(fd);
    for (unsigned i = count; i-- > 0;)
        if (file && table[i].file == file && (table[i].memory != VK_NULL_HANDLE) == memory) {
            close(fd);
            return &table[i];
        }
    return NULL;
}

static PFN_vkVoidFunction device_function(VkDevice device, const char *name)
{
    return real_device_proc_addr(device, name);
}

/* ---- as the Vulkan loader ------------------------------------------------------------------------------------ */

static VKAPI_ATTR VkResult VKAPI_CALL GetMemoryFdKHR(VkDevice device, const VkMemoryGetFdInfoKHR *info, int *fd)
{
    VkResult result = ((PFN_vkGetMemoryFdKHR)device_function(device, "vkGetMemoryFdKHR"))(device, info, fd);
    if (result)
        return result;
    exported *e = remember(*fd, (exported){.device = device, .memory = info->memory});
    return ((PFN_vkMapMemory)device_function(device, "vkMapMemory"))(device, info->memory, 0, VK_WHOLE_SIZE, 0,
                                                                     &e->address);
}

static VKAPI_ATTR VkResult VKAPI_CALL CreateSemaphore(VkDevice device, const VkSemaphoreCreateInfo *info,
                                                      const VkAllocationCallbacks *callbacks, VkSemaphore *semaphore)
{
    VkSemaphoreCreateInfo plain = *info;
    const VkBaseInStructure *first = info->pNext;
    if (first && first->sType == VK_STRUCTURE_TYPE_EXPORT_SEMAPHORE_CREATE_INFO)
        plain.pNext = first->pNext;
    return ((PFN_vkCreateSemaphore)device_function(device, "vkCreateSemaphore"))(device, &plain, callbacks, semaphore);
}

static VKAPI_ATTR VkResult VKAPI_CALL GetSemaphoreFdKHR(VkDevice device, const VkSemaphoreGetFdInfoKHR *info, int *fd)
{
    *fd = memfd_create("semaphore", MFD_CLOEXEC);
    if (*fd < 0)
        return VK_ERROR_TOO_MANY_OBJECTS;
    remember(*fd, (exported){.device = device, .semaphore = info->semaphore});
    return VK_SUCCESS;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL GetDeviceProcAddr(VkDevice device, const char *name)
{
    if (!strcmp(name, "vkGetMemoryFdKHR"))
        return (PFN_vkVoidFunction)GetMemoryFdKHR;
    if (!strcmp(name, "vkCreateSemaphore"))
        return (PFN_vkVoidFunction)CreateSemaphore;
    if (!strcmp(name, "vkGetSemaphoreFdKHR"))
        return (PFN_vkVoidFunction)GetSemaphoreFdKHR;
    return real_device_proc_addr(device, name);
}

static VKAPI_ATTR VkResult VKAPI_CALL EnumerateDeviceExtensionProperties(VkPhysicalDevice device, const char *layer,
                                                                         uint32_t *total, VkExtensionProperties *list)
{
    const uint32_t room = *total;
    VkResult result = real_extensions(device, layer, total, list);
    if (result)
        return result;
    if (list && *total < room)
        list[*total] = (VkExtensionProperties){VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME, 1};
    ++*total;
    return list && *total > room ? VK_INCOMPLETE : VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL CreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                   const VkAllocationCallbacks *callbacks, VkDevice *device)
{
    const char *names[64];
    VkDeviceCreateInfo without = *info;
    without.ppEnabledExtensionNames = names;
    without.enabledExtensionCount = 0;
    for (uint32_t i = 0; i < info->enabledExtensionCount && i < 64; i++)
        if (strcmp(info->ppEnabledExtensionNames[i], VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME))
            names[without.enabledExtensionCount++] = info->ppEnabledExtensionNames[i];
    return real_create_device(physical, &without, callbacks, device);
}

static VKAPI_ATTR void VKAPI_CALL GetPhysicalDeviceProperties2(VkPhysicalDevice device,
                                                               VkPhysicalDeviceProperties2 *properties)
{
    real_properties(device, properties);
    for (const VkBaseOutStructure *s = properties->pNext; s; s = s->pNext)
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES)
            memcpy(uuid, ((const VkPhysicalDeviceIDProperties *)s)->deviceUUID, sizeof uuid);
}

static VKAPI_ATTR void VKAPI_CALL
GetPhysicalDeviceExternalSemaphoreProperties(VkPhysicalDevice device, const VkPhysicalDeviceExternalSemaphoreInfo *info,
                                             VkExternalSemaphoreProperties *properties)
{
    (void)device;
    const VkSemaphoreTypeCreateInfo *type = info->pNext;
    const bool ours = info->handleType == VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT && type
                      && type->sType == VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO
                      && type->semaphoreType == VK_SEMAPHORE_TYPE_TIMELINE;
    properties->externalSemaphoreFeatures = ours ? VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT : 0;
}

EXPORT VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL vkGetInstanceProcAddr(VkInstance instance, const char *name)
{
    if (!real_instance_proc_addr) {
        const char *path = getenv("DMATTN_REAL_VULKAN");
        void *loader = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
        void *symbol = loader ? dlsym(loader, "vkGetInstanceProcAddr") : NULL;
        if (!symbol)
            return NULL;
        memcpy(&real_instance_proc_addr, &symbol, sizeof symbol);
    }
    PFN_vkVoidFunction real = real_instance_proc_addr(instance, name);
#define TAKE(function, pointer)                  \
    if (real && !strcmp(name, "vk" #function)) { \
        pointer = (PFN_vk##function)real;        \
        return (PFN_vkVoidFunction)function;     \
    }
    TAKE(GetDeviceProcAddr, real_device_proc_addr)
    TAKE(EnumerateDeviceExtensionProperties, real_extensions)
    TAKE(CreateDevice, real_create_device)
    TAKE(GetPhysicalDeviceProperties2, real_properties)
#undef TAKE
    if (!strcmp(name, "vkGetPhysicalDeviceExternalSemaphoreProperties"))
        return (PFN_vkVoidFunction)GetPhysicalDeviceExternalSemaphoreProperties;
    return real;
}

/* ---- as CUDA's driver ---------------------------------------------------------------------------------------- */

#define CUDA(name, ...)                \
    EXPORT CUresult name(__VA_ARGS__); \
    EXPORT CUresult name(__VA_ARGS__)

CUDA(cuInit, unsigned flags)
{
    return flags ? CUDA_ERROR_INVALID_VALUE : 0;
}

CUDA(cuGetErrorName, CUresult result, const char **name)
{
    *name = result == CUDA_ERROR_INVALID_VALUE     ? "CUDA_ERROR_INVALID_VALUE"
            : result == CUDA_ERROR_INVALID_CONTEXT ? "CUDA_ERROR_INVALID_CONTEXT"
                                                   : "CUDA_ERROR_UNKNOWN";
    return 0;
}

CUDA(cuDeviceGetCount, int *devices)
{
    *devices = 1;
    return 0;
}

CUDA(cuDeviceGet, CUdevice *device, int ordinal)
{
    *device = 7;
    return ordinal ? CUDA_ERROR_INVALID_VALUE : 0;
}

CUDA(cuDeviceGetUuid_v2, CUuuid *id, CUdevice device)
{
    memcpy(id->bytes, uuid, sizeof uuid);
    return device == 7 ? 0 : CUDA_ERROR_INVALID_VALUE;
}

CUDA(cuDevicePrimaryCtxRetain, CUcontext *context, CUdevice device)
{
    *context = (CUcontext)&table;
    return device == 7 ? 0 : CUDA_ERROR_INVALID_VALUE;
}

CUDA(cuDevicePrimaryCtxRelease_v2, CUdevice device)
{
    return device == 7 ? 0 : CUDA_ERROR_INVALID_VALUE;
}

CUDA(cuCtxSetCurrent, CUcontext context)
{
    current = context;
    return 0;
}

CUDA(cuStreamCreate, CUstream *stream, unsigned flags)
{
    *stream = (CUstream)&count;
    return !current ? CUDA_ERROR_INVALID_CONTEXT : flags > 1 ? CUDA_ERROR_INVALID_VALUE : 0;
}

CUDA(cuStreamSynchronize, CUstream stream)
{
    (void)stream;
    return current ? 0 : CUDA_ERROR_INVALID_CONTEXT;
}

CUDA(cuStreamDestroy_v2, CUstream stream)
{
    (void)stream;
    return 0;
}

CUDA(cuMemcpyHtoDAsync_v2, CUdeviceptr to, const void *from, size_t size, CUstream stream)
{
    (void)stream;
    memcpy((void *)(uintptr_t)to, from, size);
    return current ? 0 : CUDA_ERROR_INVALID_CONTEXT;
}

CUDA(cuMemcpyDtoHAsync_v2, void *to, CUdeviceptr from, size_t size, CUstream stream)
{
    (void)stream;
    memcpy(to, (const void *)(uintptr_t)from, size);
    return current ? 0 : CUDA_ERROR_INVALID_CONTEXT;
}

CUDA(cuMemFree_v2, CUdeviceptr address)
{
    return address ? 0 : CUDA_ERROR_INVALID_VALUE;
}

CUDA(cuImportExternalMemory, CUexternalMemory *memory, const CUDA_EXTERNAL_MEMORY_HANDLE_DESC *desc)
{
    const bool right = desc->type == CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD && desc->size
                       && !(desc->flags & ~(unsigned)CUDA_EXTERNAL_MEMORY_DEDICATED);
    *memory = right ? (CUexternalMemory)take(desc->handle.fd, true) : NULL;
    return !current ? CUDA_ERROR_INVALID_CONTEXT : *memory ? 0 : CUDA_ERROR_INVALID_VALUE;
}

CUDA(cuExternalMemoryGetMappedBuffer, CUdeviceptr *address, CUexternalMemory memory,
     const CUDA_EXTERNAL_MEMORY_BUFFER_DESC *desc)
{
    const exported *e = (const exported *)memory;
    *address = (CUdeviceptr)(uintptr_t)e->address + desc->offset;
    return e->address && desc->size && !desc->flags ? 0 : CUDA_ERROR_INVALID_VALUE;
}

CUDA(cuDestroyExternalMemory, CUexternalMemory memory)
{
    return memory ? 0 : CUDA_ERROR_INVALID_VALUE;
}

CUDA(cuImportExternalSemaphore, CUexternalSemaphore *semaphore, const CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC *desc)
{
    const bool right = desc->type == CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_TIMELINE_SEMAPHORE_FD && !desc->flags;
    *semaphore = right ? (CUexternalSemaphore)take(desc->handle.fd, false) : NULL;
    return !current ? CUDA_ERROR_INVALID_CONTEXT : *semaphore ? 0 : CUDA_ERROR_INVALID_VALUE;
}

CUDA(cuDestroyExternalSemaphore, CUexternalSemaphore semaphore)
{
    return semaphore ? 0 : CUDA_ERROR_INVALID_VALUE;
}

CUDA(cuSignalExternalSemaphoresAsync, const CUexternalSemaphore *semaphores,
     const CUDA_EXTERNAL_SEMAPHORE_PARAMS *params, unsigned number, CUstream stream)
{
    (void)stream;
    const exported *e = (const exported *)semaphores[0];
    const VkSemaphoreSignalInfo info = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO, .semaphore = e->semaphore, .value = params->value};
    if (!current)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (number != 1 || params->flags)
        return CUDA_ERROR_INVALID_VALUE;
    return ((PFN_vkSignalSemaphore)device_function(e->device, "vkSignalSemaphore"))(e->device, &info)
               ? CUDA_ERROR_UNKNOWN
               : 0;
}

CUDA(cuWaitExternalSemaphoresAsync, const CUexternalSemaphore *semaphores, const CUDA_EXTERNAL_SEMAPHORE_PARAMS *params,
     unsigned number, CUstream stream)
{
    (void)stream;
    const exported *e = (const exported *)semaphores[0];
    const VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                      .semaphoreCount = 1,
                                      .pSemaphores = &e->semaphore,
                                      .pValues = &params->value};
    if (!current)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (number != 1 || params->flags)
        return CUDA_ERROR_INVALID_VALUE;
    return ((PFN_vkWaitSemaphores)device_function(e->device, "vkWaitSemaphores"))(e->device, &info,
                                                                                  UINT64_C(100000000000))
               ? CUDA_ERROR_UNKNOWN
               : 0;
}
