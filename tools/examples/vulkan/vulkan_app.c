/* SPDX-License-Identifier: MIT */
#include "vulkan_app.h"

#include "die.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"
#define MAX_LISTED       512

/* ---- instance ---------------------------------------------------------------------------------------------------- */

static VKAPI_ATTR VkBool32 VKAPI_CALL report_finding(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                     VkDebugUtilsMessageTypeFlagsEXT types,
                                                     const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    (void)types;
    ((app *)user)->findings += severity >= VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
    fprintf(stderr, "dmattn-generate: validation: %s\n", data->pMessage);
    return VK_FALSE;
}

static bool has_validation(void)
{
    VkLayerProperties list[MAX_LISTED];
    uint32_t count = MAX_LISTED;
    VK(vkEnumerateInstanceLayerProperties(&count, list));
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(list[i].layerName, VALIDATION_LAYER))
            return true;
    return false;
}

static void create_instance(app *a, bool validation)
{
    if (validation && !has_validation()) {
        fprintf(stderr, "dmattn-generate: there is no " VALIDATION_LAYER ", so it is not used\n");
        validation = false;
    }
    const char *layers[] = {VALIDATION_LAYER}, *extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME};
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .pApplicationName = "dmattn-generate",
                                           .apiVersion = VK_API_VERSION_1_3};
    const VkDebugUtilsMessengerCreateInfoEXT debug = {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
                                                      .messageSeverity =
                                                          VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT
                                                          | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
                                                      .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
                                                      .pfnUserCallback = report_finding,
                                                      .pUserData = a};
    /* The layer checks the synchronization of copies and queues, but not of what shaders access by address. */
    const VkValidationFeatureEnableEXT checks[] = {VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    const VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                              .pNext = &debug,
                                              .enabledValidationFeatureCount = 1,
                                              .pEnabledValidationFeatures = checks};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pNext = validation ? &features : NULL,
                                       .pApplicationInfo = &application,
                                       .enabledLayerCount = validation,
                                       .ppEnabledLayerNames = layers,
                                       .enabledExtensionCount = validation,
                                       .ppEnabledExtensionNames = extensions};
    const VkResult result = vkCreateInstance(&info, NULL, &a->instance);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER) /* the loader found no driver */
        die("there is no Vulkan device");
    VK(result);
    if (validation) {
        const PFN_vkCreateDebugUtilsMessengerEXT create =
            (PFN_vkCreateDebugUtilsMessengerEXT)vkGetInstanceProcAddr(a->instance, "vkCreateDebugUtilsMessengerEXT");
        VK(create(a->instance, &debug, NULL, &a->messenger));
    }
}

/* ---- device ------------------------------------------------------------------------------------------------------ */

static bool contains(const char *name, const char *part)
{
    for (; *name; name++) {
        size_t i = 0;
        while (part[i] && tolower((unsigned char)name[i]) == tolower((unsigned char)part[i]))
            i++;
        if (!part[i])
            return true;
    }
    return false;
}

/* `selector`: NULL, "best", an index, or part of a name. */
static bool is_selected(const char *selector, uint32_t index, const char *name)
{
    if (!selector || !strcmp(selector, "best"))
        return true;
    char *end;
    const unsigned long number = strtoul(selector, &end, 10);
    return isdigit((unsigned char)*selector) && !*end ? number == index : contains(name, selector);
}

static void choose_device(app *a, const char *selector)
{
    VkPhysicalDevice list[16];
    uint32_t count = sizeof list / sizeof *list;
    VK(vkEnumeratePhysicalDevices(a->instance, &count, list));
    if (!count)
        die("there is no Vulkan device");
    for (uint32_t i = 0; i < count; i++) {
        VkPhysicalDeviceProperties properties;
        vkGetPhysicalDeviceProperties(list[i], &properties);
        const bool better = !a->physical_device
                            || (properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
                                && a->properties.deviceType != VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
        if (is_selected(selector, i, properties.deviceName) && better) {
            a->physical_device = list[i];
            a->properties = properties;
        }
    }
    if (!a->physical_device)
        refuse("none of the %u devices is '%s'; --device takes an index or part of a name", count, selector);
    if (a->properties.apiVersion < VK_API_VERSION_1_3)
        die("%s does not support Vulkan 1.3, which this app needs", a->properties.deviceName);
}

/* Chooses the family of the compute queue and that of the queue for copies: another family if possible, preferably one
 * that can only copy; otherwise another queue of the same family, otherwise the same queue. Returns the index of the
 * queue for copies within its family. */
static uint32_t choose_queues(app *a)
{
    VkQueueFamilyProperties list[32];
    uint32_t count = sizeof list / sizeof *list, compute = 0;
    vkGetPhysicalDeviceQueueFamilyProperties(a->physical_device, &count, list);
    while (compute < count && !(list[compute].queueFlags & VK_QUEUE_COMPUTE_BIT))
        compute++;
    if (compute == count)
        die("%s has no compute queue", a->properties.deviceName);
    a->compute.family = a->transfer.family = compute;
    int best = 0; /* a family with the same abilities is skipped: some drivers list the same hardware twice */
    for (uint32_t i = 0; i < count; i++) {
        const VkQueueFlags flags = list[i].queueFlags;
        const int fit = !(flags & VK_QUEUE_GRAPHICS_BIT) + !(flags & VK_QUEUE_COMPUTE_BIT);
        const VkQueueFlags copies = VK_QUEUE_TRANSFER_BIT | VK_QUEUE_COMPUTE_BIT | VK_QUEUE_GRAPHICS_BIT;
        if (i != compute && flags & copies && fit > best) {
            best = fit;
            a->transfer.family = i;
        }
    }
    return a->transfer.family == compute && list[compute].queueCount > 1;
}

static void report_message(void *user, dmattn_severity severity, const char *text)
{
    (void)user;
    if (severity > DMATTN_SEVERITY_INFO)
        fprintf(stderr, "dmattn-generate: dmattn: %s\n", text);
}

static void create_device(app *a)
{
    /* What this app itself enables: timeline semaphores, which every Vulkan 1.2 device supports, and one extension. */
    VkPhysicalDeviceVulkan12Features features12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                                   .timelineSemaphore = VK_TRUE};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &features12};
    VkExtensionProperties offered[MAX_LISTED];
    const char *extensions[1 + DMATTN_MAX_DEVICE_EXTENSIONS];
    dmattn_device_setup setup = {.get_features = vkGetPhysicalDeviceFeatures2,
                                 .physical_device = a->physical_device,
                                 .api_version = VK_API_VERSION_1_3,
                                 .offered_count = MAX_LISTED,
                                 .offered = offered,
                                 .features = &features,
                                 .extensions = extensions};
    VK(vkEnumerateDeviceExtensionProperties(a->physical_device, NULL, &setup.offered_count, offered));
    for (uint32_t i = 0; i < setup.offered_count; i++)
        if (!strcmp(offered[i].extensionName, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME))
            extensions[setup.extension_count++] = VK_EXT_MEMORY_BUDGET_EXTENSION_NAME;
    /* dmattn adds what it needs, in the same structures where possible. */
    DMATTN(dmattn_add_device_needs(&setup));

    const uint32_t second = choose_queues(a);
    const float priorities[] = {1, 1};
    const bool two_families = a->compute.family != a->transfer.family;
    const VkDeviceQueueCreateInfo queues[] = {{.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                               .queueFamilyIndex = a->compute.family,
                                               .queueCount = 1 + second,
                                               .pQueuePriorities = priorities},
                                              {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                               .queueFamilyIndex = a->transfer.family,
                                               .queueCount = 1,
                                               .pQueuePriorities = priorities}};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = &features,
                                     .queueCreateInfoCount = two_families ? 2 : 1,
                                     .pQueueCreateInfos = queues,
                                     .enabledExtensionCount = setup.extension_count,
                                     .ppEnabledExtensionNames = extensions};
    VK(vkCreateDevice(a->physical_device, &info, NULL, &a->device));
    vkGetDeviceQueue(a->device, a->compute.family, 0, &a->compute.queue);
    vkGetDeviceQueue(a->device, a->transfer.family, second, &a->transfer.queue);

    const dmattn_context_desc desc = {.get_instance_proc_addr = vkGetInstanceProcAddr,
                                      .instance = a->instance,
                                      .physical_device = a->physical_device,
                                      .device = a->device,
                                      .api_version = VK_API_VERSION_1_3,
                                      .enabled_extension_count = setup.extension_count,
                                      .enabled_extensions = extensions,
                                      .enabled_features = &features,
                                      .message = report_message};
    DMATTN(dmattn_context_create(&desc, &a->dmattn));
}

static void create_pool(app *a, app_queue *queue)
{
    const VkCommandPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .queueFamilyIndex = queue->family};
    VK(vkCreateCommandPool(a->device, &info, NULL, &queue->pool));
}

void app_open(app *a, const char *selector, bool validation)
{
    *a = (app){0};
    create_instance(a, validation);
    choose_device(a, selector);
    create_device(a);
    create_pool(a, &a->compute);
    create_pool(a, &a->transfer);
    const VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                            .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
    const VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &type};
    VK(vkCreateSemaphore(a->device, &info, NULL, &a->timeline));
    a->memory = memory_create(a->instance, a->physical_device, a->device);
}

void app_close(app *a)
{
    dmattn_context_destroy(a->dmattn);
    memory_destroy(a->memory);
    vkDestroySemaphore(a->device, a->timeline, NULL);
    vkDestroyCommandPool(a->device, a->compute.pool, NULL);
    vkDestroyCommandPool(a->device, a->transfer.pool, NULL);
    vkDestroyDevice(a->device, NULL);
    if (a->messenger) {
        const PFN_vkDestroyDebugUtilsMessengerEXT destroy =
            (PFN_vkDestroyDebugUtilsMessengerEXT)vkGetInstanceProcAddr(a->instance, "vkDestroyDebugUtilsMessengerEXT");
        destroy(a->instance, a->messenger, NULL);
    }
    vkDestroyInstance(a->instance, NULL);
}
