/* SPDX-License-Identifier: MIT
 * The part of the CUDA driver interface that this program uses, loaded at run time, so that building needs no CUDA.
 * Names, values and layouts are those of cuda.h. */
#ifndef DMATTN_CUDA_DRIVER_H
#define DMATTN_CUDA_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int CUresult; /* 0: success */
typedef int CUdevice;
typedef uint64_t CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUextMemory_st *CUexternalMemory;
typedef struct CUextSemaphore_st *CUexternalSemaphore;

typedef struct CUuuid {
    uint8_t bytes[16];
} CUuuid;

#define CU_STREAM_NON_BLOCKING                                  1
#define CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD                1
#define CUDA_EXTERNAL_MEMORY_DEDICATED                          1
#define CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_TIMELINE_SEMAPHORE_FD 9

typedef union cuda_handle {
    int fd;
    void *win32[2];
} cuda_handle;

typedef struct CUDA_EXTERNAL_MEMORY_HANDLE_DESC {
    int type;
    cuda_handle handle;
    uint64_t size;
    uint32_t flags;
    uint32_t reserved[16];
} CUDA_EXTERNAL_MEMORY_HANDLE_DESC;

typedef struct CUDA_EXTERNAL_MEMORY_BUFFER_DESC {
    uint64_t offset;
    uint64_t size;
    uint32_t flags;
    uint32_t reserved[16];
} CUDA_EXTERNAL_MEMORY_BUFFER_DESC;

typedef struct CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC {
    int type;
    cuda_handle handle;
    uint32_t flags;
    uint32_t reserved[16];
} CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC;

/* For signals and waits. The members between are for other kinds of semaphores. */
typedef struct CUDA_EXTERNAL_SEMAPHORE_PARAMS {
    uint64_t value;
    uint32_t other_kinds[16];
    uint32_t flags;
    uint32_t reserved[16];
} CUDA_EXTERNAL_SEMAPHORE_PARAMS;

#if UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(CUDA_EXTERNAL_MEMORY_HANDLE_DESC) == 104 && sizeof(CUDA_EXTERNAL_MEMORY_BUFFER_DESC) == 88
                   && sizeof(CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC) == 96 && sizeof(CUDA_EXTERNAL_SEMAPHORE_PARAMS) == 144
                   && offsetof(CUDA_EXTERNAL_SEMAPHORE_PARAMS, flags) == 72,
               "the layouts must be those of CUDA");
#endif

/* X(function, parameters); where cuda.h gives a name a version, the library has that. */
#define CUDA_FUNCTIONS(X)                                                                                            \
    X(cuInit, (unsigned flags))                                                                                      \
    X(cuGetErrorName, (CUresult result, const char **name))                                                          \
    X(cuDeviceGetCount, (int *count))                                                                                \
    X(cuDeviceGet, (CUdevice * device, int ordinal))                                                                 \
    X(cuDeviceGetUuid_v2, (CUuuid * uuid, CUdevice device))                                                          \
    X(cuDevicePrimaryCtxRetain, (CUcontext * context, CUdevice device))                                              \
    X(cuDevicePrimaryCtxRelease_v2, (CUdevice device))                                                               \
    X(cuCtxSetCurrent, (CUcontext context))                                                                          \
    X(cuStreamCreate, (CUstream * stream, unsigned flags))                                                           \
    X(cuStreamSynchronize, (CUstream stream))                                                                        \
    X(cuStreamDestroy_v2, (CUstream stream))                                                                         \
    X(cuMemcpyHtoDAsync_v2, (CUdeviceptr to, const void *from, size_t size, CUstream stream))                        \
    X(cuMemcpyDtoHAsync_v2, (void *to, CUdeviceptr from, size_t size, CUstream stream))                              \
    X(cuMemFree_v2, (CUdeviceptr address))                                                                           \
    X(cuImportExternalMemory, (CUexternalMemory * memory, const CUDA_EXTERNAL_MEMORY_HANDLE_DESC *desc))             \
    X(cuExternalMemoryGetMappedBuffer,                                                                               \
      (CUdeviceptr * address, CUexternalMemory memory, const CUDA_EXTERNAL_MEMORY_BUFFER_DESC *desc))                \
    X(cuDestroyExternalMemory, (CUexternalMemory memory))                                                            \
    X(cuImportExternalSemaphore, (CUexternalSemaphore * semaphore, const CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC *desc)) \
    X(cuDestroyExternalSemaphore, (CUexternalSemaphore semaphore))                                                   \
    X(cuSignalExternalSemaphoresAsync,                                                                               \
      (const CUexternalSemaphore *semaphores, const CUDA_EXTERNAL_SEMAPHORE_PARAMS *params, unsigned count,          \
       CUstream stream))                                                                                             \
    X(cuWaitExternalSemaphoresAsync, (const CUexternalSemaphore *semaphores,                                         \
                                      const CUDA_EXTERNAL_SEMAPHORE_PARAMS *params, unsigned count, CUstream stream))

typedef struct cuda_driver {
    void *library;
#define MEMBER(name, parameters) CUresult(*name) parameters;
    CUDA_FUNCTIONS(MEMBER)
#undef MEMBER
} cuda_driver;

/* Loads libcuda.so.1 and calls cuInit(). On failure returns false, writes a message to `why`, of `size` bytes, and
 * zeroes *cuda. */
bool cuda_driver_open(cuda_driver *cuda, char *why, size_t size);

/* Unloads the driver; a zero one is allowed. */
void cuda_driver_close(cuda_driver *cuda);

/* Such as "CUDA_ERROR_INVALID_VALUE". */
const char *cuda_error_name(const cuda_driver *cuda, CUresult result);

#endif
