/* SPDX-License-Identifier: MIT */
#include "cuda_driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* Returns the name of the first missing function; NULL: none is missing. */
static const char *load_functions(cuda_driver *cuda)
{
    const char *missing = NULL;
    void *symbol; /* see src/runtime/platform.c */
#define LOAD(name, parameters)                   \
    symbol = dlsym(cuda->library, #name);        \
    memcpy(&cuda->name, &symbol, sizeof symbol); \
    missing = symbol ? missing : missing ? missing : #name;
    CUDA_FUNCTIONS(LOAD)
#undef LOAD
    return missing;
}

bool cuda_driver_open(cuda_driver *cuda, char *why, size_t size)
{
    memset(cuda, 0, sizeof *cuda);
    cuda->library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!cuda->library) {
        snprintf(why, size, "there is no CUDA driver (libcuda.so.1) on this system");
        return false;
    }
    const char *missing = load_functions(cuda);
    CUresult result = missing ? 0 : cuda->cuInit(0);
    if (!missing && !result)
        return true;
    if (missing)
        snprintf(why, size, "the CUDA driver has no %s; it is older than 11.4", missing);
    else
        snprintf(why, size, "the CUDA driver failed to initialize: cuInit returned %s", cuda_error_name(cuda, result));
    cuda_driver_close(cuda);
    return false;
}

void cuda_driver_close(cuda_driver *cuda)
{
    if (cuda->library)
        dlclose(cuda->library);
    memset(cuda, 0, sizeof *cuda);
}

const char *cuda_error_name(const cuda_driver *cuda, CUresult result)
{
    const char *name = NULL;
    return cuda->cuGetErrorName(result, &name) || !name ? "an error without a name" : name;
}
