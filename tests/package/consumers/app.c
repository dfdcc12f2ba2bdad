/* SPDX-License-Identifier: MIT
 * An app: valid C99, C11 and C++17. That it links and runs is what is tested; a device there need not be. */
#ifdef WITH_VOLK /* the app's own Vulkan calls are volk's, whose global symbols are named as the loader's functions */
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
    /* So that what makes plans is linked, with all that it needs. */
    if (dmattn_attention_plan(NULL, NULL, &plan) != DMATTN_ERROR_INVALID) {
        fprintf(stderr, "a plan was made without a context\n");
        return 1;
    }
    const dmattn_status status = dmattn_runtime_create(&desc, &runtime);
    if (status != DMATTN_SUCCESS && status != DMATTN_ERROR_UNSUPPORTED) {
        fprintf(stderr, "%s\n", dmattn_status_string(status));
        return 1;
    }
#ifdef WITH_LOADER /* the app's own Vulkan calls are the loader's */
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
