/* SPDX-License-Identifier: MIT */
#include "enable.h"
#include "physical.h"
#include "select.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"

/* ---- functions ----------------------------------------------------------------------------------------------- */

/* Loads every function before it names the first missing one, so that the instance can be destroyed after a failure. */
#define LOAD(name)                                                            \
    table->name = (PFN_vk##name)get_instance_proc_addr(instance, "vk" #name); \
    missing = table->name ? missing : missing ? missing : "vk" #name;

static const char *load_global(PFN_vkGetInstanceProcAddr get_instance_proc_addr, global_table *table)
{
    const VkInstance instance = VK_NULL_HANDLE;
    const char *missing = NULL;
    RUNTIME_GLOBAL_FUNCTIONS(LOAD)
    return missing;
}

static const char *load_instance(PFN_vkGetInstanceProcAddr get_instance_proc_addr, VkInstance instance,
                                 instance_table *table)
{
    const char *missing = NULL;
    RUNTIME_INSTANCE_FUNCTIONS(LOAD)
    return missing;
}

static const char *load_debug(PFN_vkGetInstanceProcAddr get_instance_proc_addr, VkInstance instance,
                              instance_table *table)
{
    const char *missing = NULL;
    RUNTIME_DEBUG_FUNCTIONS(LOAD)
    return missing;
}

/* ---- validation ---------------------------------------------------------------------------------------------- */

static VKAPI_ATTR VkBool32 VKAPI_CALL forward_finding(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                      VkDebugUtilsMessageTypeFlagsEXT types,
                                                      const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    (void)types;
    const messenger *m = user;
    if (!m->fn)
        return VK_FALSE;
    char text[4096]; /* longer than other messages, because the finding comes last, after the names of the objects */
    const char *id = data->pMessageIdName, *finding = data->pMessage ? data->pMessage : "";
    if (id && !strstr(finding, id)) /* older layers repeat the id in the message */
        snprintf(text, sizeof text, "validation: %s: %s", id, finding);
    else
        snprintf(text, sizeof text, "validation: %s", finding);
    for (char *c = text; *c; c++)
        if (*c == '\n')
            *c = ' ';
    bool error = severity >= VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
    m->fn(m->user, error ? DMATTN_SEVERITY_ERROR : DMATTN_SEVERITY_WARNING, text);
    return VK_FALSE;
}

/* Lists the extensions of a layer, or of the instance if `layer` is NULL. The caller frees *list. */
static dmattn_status list_instance_extensions(const messenger *m, const global_table *vk, const char *layer,
                                              VkExtensionProperties **list, uint32_t *count)
{
    *list = NULL;
    *count = 0;
    VkResult result = vk->EnumerateInstanceExtensionProperties(layer, count, NULL);
    if (result < 0)
        return dmattn_fail_vulkan(m, result, "vkEnumerateInstanceExtensionProperties");
    *list = calloc(*count + 1, sizeof **list);
    if (!*list)
        return dmattn_fail(m, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for %u instance extensions", *count);
    result = vk->EnumerateInstanceExtensionProperties(layer, count, *list);
    if (result < 0) {
        free(*list);
        *list = NULL;
        return dmattn_fail_vulkan(m, result, "vkEnumerateInstanceExtensionProperties");
    }
    return DMATTN_SUCCESS;
}

static dmattn_status instance_has_extension(const messenger *m, const global_table *vk, const char *layer,
                                            const char *name, bool *has)
{
    VkExtensionProperties *list;
    uint32_t count;
    TRY(list_instance_extensions(m, vk, layer, &list, &count));
    *has = dmattn_has_extension(list, count, name);
    free(list);
    return DMATTN_SUCCESS;
}

static dmattn_status check_validation_layer(const messenger *m, const global_table *vk)
{
    uint32_t count = 0;
    VkResult result = vk->EnumerateInstanceLayerProperties(&count, NULL);
    if (result < 0)
        return dmattn_fail_vulkan(m, result, "vkEnumerateInstanceLayerProperties");
    VkLayerProperties *list = calloc(count + 1, sizeof *list);
    if (!list)
        return dmattn_fail(m, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for %u instance layers", count);
    result = vk->EnumerateInstanceLayerProperties(&count, list);
    bool found = false;
    for (uint32_t i = 0; result >= 0 && i < count; i++)
        found = found || !strcmp(list[i].layerName, VALIDATION_LAYER);
    free(list);
    if (result < 0)
        return dmattn_fail_vulkan(m, result, "vkEnumerateInstanceLayerProperties");
    if (!found)
        return dmattn_fail(m, DMATTN_ERROR_UNSUPPORTED,
                           "validation was requested, but the layer " VALIDATION_LAYER " is not installed");
    return DMATTN_SUCCESS;
}

/* ---- instance ------------------------------------------------------------------------------------------------ */

static dmattn_status create_instance(dmattn_runtime *runtime, const global_table *vk, bool validation)
{
    const messenger *m = &runtime->messenger;
    uint32_t version = 0;
    VkResult result = vk->EnumerateInstanceVersion(&version);
    if (result < 0)
        return dmattn_fail_vulkan(m, result, "vkEnumerateInstanceVersion");
    if (version < VK_API_VERSION_1_2)
        return dmattn_fail(m, DMATTN_ERROR_UNSUPPORTED, "the Vulkan loader offers Vulkan %u.%u, but dmattn needs 1.2",
                           VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version));
    runtime->api_version = version < VK_API_VERSION_1_3 ? VK_API_VERSION_1_2 : VK_API_VERSION_1_3;

    const char *extensions[3], *layers[] = {VALIDATION_LAYER};
    VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                     .pEngineName = "dmattn",
                                     .engineVersion = DMATTN_VERSION,
                                     .apiVersion = runtime->api_version};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                 .pApplicationInfo = &application,
                                 .ppEnabledExtensionNames = extensions,
                                 .ppEnabledLayerNames = layers};
    bool has = false;
#ifdef VK_KHR_portability_enumeration
    /* Without this extension the loader hides devices that do not conform fully to Vulkan, such as MoltenVK's. */
    TRY(instance_has_extension(m, vk, NULL, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME, &has));
    if (has) {
        extensions[info.enabledExtensionCount++] = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
        info.flags |= VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
    }
#endif

    /* In the chain of VkInstanceCreateInfo this reports findings while the instance is created and destroyed. The
     * messenger made below reports all others. */
    const VkDebugUtilsMessengerCreateInfoEXT debug = {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
                                                      .messageSeverity =
                                                          VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT
                                                          | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
                                                      .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
                                                      .pfnUserCallback = forward_finding,
                                                      .pUserData = &runtime->messenger};
    static const VkValidationFeatureEnableEXT checks[] = {VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    const VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                              .pNext = &debug,
                                              .enabledValidationFeatureCount = sizeof checks / sizeof *checks,
                                              .pEnabledValidationFeatures = checks};
    if (validation) {
        TRY(check_validation_layer(m, vk));
        info.enabledLayerCount = 1;
        TRY(instance_has_extension(m, vk, NULL, VK_EXT_DEBUG_UTILS_EXTENSION_NAME, &has));
        if (!has)
            TRY(instance_has_extension(m, vk, VALIDATION_LAYER, VK_EXT_DEBUG_UTILS_EXTENSION_NAME, &has));
        if (!has)
            return dmattn_fail(m, DMATTN_ERROR_UNSUPPORTED,
                               "validation was requested, but the extension " VK_EXT_DEBUG_UTILS_EXTENSION_NAME
                               " is missing");
        extensions[info.enabledExtensionCount++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
        info.pNext = &debug;
        TRY(instance_has_extension(m, vk, VALIDATION_LAYER, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME, &has));
        if (has) {
            extensions[info.enabledExtensionCount++] = VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME;
            info.pNext = &features;
        } else
            dmattn_message_send(m, DMATTN_SEVERITY_WARNING,
                                "this validation layer cannot check synchronization: it has "
                                "no " VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME);
    }

    result = vk->CreateInstance(&info, NULL, &runtime->instance);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER) { /* the loader found no driver */
        runtime->instance = VK_NULL_HANDLE;
        dmattn_message_send(m, DMATTN_SEVERITY_WARNING, "there is no Vulkan driver");
        return DMATTN_SUCCESS;
    }
    if (result < 0) {
        runtime->instance = VK_NULL_HANDLE;
        return dmattn_fail_vulkan(m, result, "vkCreateInstance");
    }

    PFN_vkGetInstanceProcAddr get = runtime->loader.get_instance_proc_addr;
    const char *missing = load_instance(get, runtime->instance, &runtime->vk);
    if (!missing && validation)
        missing = load_debug(get, runtime->instance, &runtime->vk);
    if (missing)
        return dmattn_fail(m, DMATTN_ERROR_UNSUPPORTED, "the Vulkan loader has no %s", missing);
    if (validation) {
        result = runtime->vk.CreateDebugUtilsMessengerEXT(runtime->instance, &debug, NULL, &runtime->debug_messenger);
        if (result < 0) {
            runtime->debug_messenger = VK_NULL_HANDLE;
            return dmattn_fail_vulkan(m, result, "vkCreateDebugUtilsMessengerEXT");
        }
    }
    return DMATTN_SUCCESS;
}

/* ---- runtime ------------------------------------------------------------------------------------------------- */

static dmattn_status create_runtime(dmattn_runtime *runtime, bool validation)
{
    const messenger *m = &runtime->messenger;
    if (!dmattn_vulkan_loader_open(&runtime->loader))
        return dmattn_fail(m, DMATTN_ERROR_UNSUPPORTED, "there is no Vulkan loader on this system");
    global_table vk;
    const char *missing = load_global(runtime->loader.get_instance_proc_addr, &vk);
    if (missing)
        return dmattn_fail(m, DMATTN_ERROR_UNSUPPORTED, "the Vulkan loader has no %s, but dmattn needs Vulkan 1.2",
                           missing);
    TRY(create_instance(runtime, &vk, validation));
    return dmattn_physical_devices_read(runtime);
}

dmattn_status dmattn_runtime_create(const dmattn_runtime_desc *desc, dmattn_runtime **runtime)
{
    const messenger m = {desc ? desc->message : NULL, desc ? desc->message_user : NULL};
    if (!runtime)
        return dmattn_fail(&m, DMATTN_ERROR_INVALID, "runtime is NULL");
    *runtime = NULL;
    dmattn_runtime *made = calloc(1, sizeof *made);
    if (!made)
        return dmattn_fail(&m, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for a runtime");
    made->messenger = m;
    dmattn_status status = create_runtime(made, desc && desc->validation);
    if (status) {
        dmattn_runtime_destroy(made);
        return status;
    }
    *runtime = made;
    return DMATTN_SUCCESS;
}

void dmattn_runtime_destroy(dmattn_runtime *runtime)
{
    if (!runtime)
        return;
    if (runtime->debug_messenger)
        runtime->vk.DestroyDebugUtilsMessengerEXT(runtime->instance, runtime->debug_messenger, NULL);
    if (runtime->instance && runtime->vk.DestroyInstance)
        runtime->vk.DestroyInstance(runtime->instance, NULL);
    dmattn_vulkan_loader_close(&runtime->loader);
    free(runtime->devices);
    free(runtime->infos);
    free(runtime);
}

uint32_t dmattn_runtime_device_count(const dmattn_runtime *runtime)
{
    return runtime ? runtime->device_count : 0;
}

dmattn_status dmattn_runtime_device_info(const dmattn_runtime *runtime, uint32_t index, dmattn_device_info *info)
{
    if (info)
        memset(info, 0, sizeof *info);
    if (!runtime)
        return DMATTN_ERROR_INVALID;
    if (!info)
        return dmattn_fail(&runtime->messenger, DMATTN_ERROR_INVALID, "info is NULL");
    if (index >= runtime->device_count)
        return dmattn_fail(&runtime->messenger, DMATTN_ERROR_INVALID,
                           "device index %u is not below the count of devices (%u)", index, runtime->device_count);
    *info = runtime->infos[index];
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_runtime_find_device(const dmattn_runtime *runtime, const char *selector, uint32_t *index)
{
    if (!runtime)
        return DMATTN_ERROR_INVALID;
    if (!index)
        return dmattn_fail(&runtime->messenger, DMATTN_ERROR_INVALID, "index is NULL");
    return dmattn_select_device(runtime->infos, runtime->device_count, selector, index, &runtime->messenger);
}
