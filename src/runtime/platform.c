/* SPDX-License-Identifier: MIT */
#if !defined(_WIN32) && !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#endif

#include "platform.h"

#include <stddef.h>
#include <string.h>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

static const char *const library_names[] = {"vulkan-1.dll"};

static void *library_open(const char *name)
{
    return (void *)LoadLibraryA(name);
}

static PFN_vkGetInstanceProcAddr library_entry(void *library)
{
    /* Compilers accept casts between function types without a warning only through void (*)(void). */
    return (PFN_vkGetInstanceProcAddr)(void (*)(void))GetProcAddress((HMODULE)library, "vkGetInstanceProcAddr");
}

static void library_close(void *library)
{
    FreeLibrary((HMODULE)library);
}

double dmattn_clock_seconds(void)
{
    LARGE_INTEGER count, frequency;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&frequency);
    return (double)count.QuadPart / (double)frequency.QuadPart;
}

#else
#include <dlfcn.h>
#include <time.h>

#if defined(__APPLE__)
/* MoltenVK can be used in place of the loader. */
static const char *const library_names[] = {"libvulkan.1.dylib", "libvulkan.dylib", "libMoltenVK.dylib"};
#else
static const char *const library_names[] = {"libvulkan.so.1", "libvulkan.so"};
#endif

static void *library_open(const char *name)
{
    return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

static PFN_vkGetInstanceProcAddr library_entry(void *library)
{
    /* ISO C has no cast from an object pointer to a function pointer; POSIX guarantees the same representation. */
    PFN_vkGetInstanceProcAddr entry = NULL;
    void *symbol = dlsym(library, "vkGetInstanceProcAddr");
    _Static_assert(sizeof entry == sizeof symbol, "function pointers must have the size of object pointers");
    memcpy(&entry, &symbol, sizeof entry);
    return entry;
}

static void library_close(void *library)
{
    dlclose(library);
}

double dmattn_clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}
#endif

bool dmattn_vulkan_loader_open(vulkan_loader *loader)
{
    memset(loader, 0, sizeof *loader);
    for (size_t i = 0; i < sizeof library_names / sizeof *library_names; i++) {
        loader->library = library_open(library_names[i]);
        if (!loader->library)
            continue;
        loader->get_instance_proc_addr = library_entry(loader->library);
        if (loader->get_instance_proc_addr)
            return true;
        dmattn_vulkan_loader_close(loader);
    }
    return false;
}

void dmattn_vulkan_loader_close(vulkan_loader *loader)
{
    if (loader->library)
        library_close(loader->library);
    memset(loader, 0, sizeof *loader);
}
