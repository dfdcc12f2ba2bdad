/* SPDX-License-Identifier: MIT
 * An app in valid C99, C11 and C++17. The test is that it links and runs. No device is needed. */
#ifdef WITH_VOLK /* the app calls Vulkan through volk, whose global symbols have the names of the loader's functions \
                  */
#define VOLK_IMPLEMENTATION
#include <volk.h>
#endif

#include <dmattn/dmattn.h>
#include <dmattn/runtime.h>

#include <stdio.h>

int main(void)
{
    const dmattn_runtime_desc desc = {0};
    dmattn_runtime *runtime = NULL;
    dmattn_plan *plan = NULL;
    if (dmattn_version() != DMATTN_VERSION) {
        fprintf(stderr, "the library has version %u, the header %u\n", (unsigned)dmattn_version(),
                (unsigned)DMATTN_VERSION);
        return 1;
    }
    /* Calls a plan function, so that the code that makes plans is linked. */
    if (dmattn_attention_plan(NULL, NULL, &plan) != DMATTN_ERROR_INVALID) {
        fprintf(stderr, "a plan was made without a context\n");
        return 1;
    }
    const dmattn_status status = dmattn_runtime_create(&desc, &runtime);
    if (status != DMATTN_SUCCESS && status != DMATTN_ERROR_UNSUPPORTED) {
        fprintf(stderr, "%s\n", dmattn_status_string(status));
        return 1;
    }
#ifdef WITH_LOADER /* the app calls the Vulkan loader directly */
    uint32_t version = 0;
    if (vkEnumerateInstanceVersion(&version) || !version)
        return 1;
#endif
#ifdef WITH_VOLK
    if (!volkInitialize() && !volkGetInstanceVersion())
        return 1;
#endif
    printf("dmattn %u, %u devices\n", (unsigned)dmattn_version(),
           runtime ? (unsigned)dmattn_runtime_device_count(runtime) : 0u);
    dmattn_runtime_destroy(runtime);
    return 0;
}
