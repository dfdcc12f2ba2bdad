/* SPDX-License-Identifier: MIT
 * dmattn_startup: measures how long an app takes to make its plans when it starts, with and without the
 * pipeline cache that it saved the last time. There are three starts, each with its own Vulkan instance, device and
 * cache: the first cache is empty, the second has the data of the first, the third is empty again, because a driver may
 * also have a cache of its own.
 *
 * Every pipeline must be made with the app's cache. If the driver reports which pipelines it found there, the second
 * start must find all and the others none; with --hits the driver must report it. docs/embedding.md quotes the times.
 */
#include "kernel.h"
#include "runtime/enable.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char sentence[512];

static void keep(void *user, dmattn_severity severity, const char *text)
{
    (void)user;
    if (severity == DMATTN_SEVERITY_ERROR)
        snprintf(sentence, sizeof sentence, "%s", text);
}

/* ---- between the library and the driver ------------------------------------------------------------------------ */

static struct between {
    PFN_vkGetInstanceProcAddr get_instance_proc_addr;
    PFN_vkGetDeviceProcAddr get_device_proc_addr;
    PFN_vkCreateComputePipelines create_compute_pipelines;
    VkPipelineCache cache; /* of the app */
    bool asks;             /* the device reports cache hits */
    unsigned pipelines, without_cache, told, hits;
} between;

static VKAPI_ATTR VkResult VKAPI_CALL create_compute_pipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                               const VkComputePipelineCreateInfo *infos,
                                                               const VkAllocationCallbacks *allocator,
                                                               VkPipeline *pipelines)
{
    VkPipelineCreationFeedback whole = {0}, stage = {0};
    VkComputePipelineCreateInfo info = *infos; /* count is always 1; test_contract.c checks that */
    const VkPipelineCreationFeedbackCreateInfo feedback = {.sType =
                                                               VK_STRUCTURE_TYPE_PIPELINE_CREATION_FEEDBACK_CREATE_INFO,
                                                           .pNext = infos->pNext,
                                                           .pPipelineCreationFeedback = &whole,
                                                           .pipelineStageCreationFeedbackCount = 1,
                                                           .pPipelineStageCreationFeedbacks = &stage};
    if (between.asks)
        info.pNext = &feedback;
    const VkResult result = between.create_compute_pipelines(device, cache, count, &info, allocator, pipelines);
    between.pipelines++;
    between.without_cache += cache != between.cache;
    between.told += (whole.flags & VK_PIPELINE_CREATION_FEEDBACK_VALID_BIT) != 0;
    between.hits += (whole.flags & VK_PIPELINE_CREATION_FEEDBACK_APPLICATION_PIPELINE_CACHE_HIT_BIT) != 0;
    return result;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc_addr(VkDevice device, const char *name)
{
    return !strcmp(name, "vkCreateComputePipelines") ? (PFN_vkVoidFunction)create_compute_pipelines
                                                     : between.get_device_proc_addr(device, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance_proc_addr(VkInstance instance, const char *name)
{
    return !strcmp(name, "vkGetDeviceProcAddr") ? (PFN_vkVoidFunction)get_device_proc_addr
                                                : between.get_instance_proc_addr(instance, name);
}

/* ---- one start ------------------------------------------------------------------------------------------------- */

typedef struct blob {
    void *data;
    size_t size;
} blob;

/* The plans of a model: one of each operator that inference uses. */
static dmattn_status make_plans(dmattn_context *context)
{
#define HEADS .type = DMATTN_TYPE_F16, .batch = 1, .heads = 8, .kv_heads = 2, .head_dim = 64
    const dmattn_selection topw = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 256, .causal = true};
    const dmattn_attention_desc attention = {HEADS, .queries = 1024, .keys = 1024, .causal = true};
    const dmattn_dma_desc dma = {.attention = {HEADS, .queries = 1024, .keys = 1024}, .selection = topw};
    const dmattn_decode_desc decode = {.attention = {HEADS, .queries = 1}, .selection = topw};
    dmattn_plan *plan;
    TRY(dmattn_attention_plan(context, &attention, &plan));
    dmattn_plan_destroy(plan);
    TRY(dmattn_dma_plan(context, &dma, &plan));
    dmattn_plan_destroy(plan);
    TRY(dmattn_decode_plan(context, &decode, &plan));
    dmattn_plan_destroy(plan);
    return DMATTN_SUCCESS;
}

static dmattn_status make_context(const dmattn_device *device, dmattn_context **context)
{
    const dmattn_runtime *runtime = device->runtime;
    enabled_set enabled;
    TRY(dmattn_enabled_choose(runtime, device->physical, &enabled));
    const dmattn_context_desc desc = {.get_instance_proc_addr = get_instance_proc_addr,
                                      .instance = runtime->instance,
                                      .physical_device = device->physical->handle,
                                      .device = device->device,
                                      .api_version = device->physical->api_version,
                                      .enabled_extension_count = enabled.setup.extension_count,
                                      .enabled_extensions = enabled.extensions,
                                      .enabled_features = &enabled.features,
                                      .pipeline_cache = between.cache,
                                      .message = keep};
    return dmattn_context_create(&desc, context);
}

/* Makes a cache from the data `from`, makes the plans with it, and saves the data of the cache in `to`. */
static dmattn_status start_on(const dmattn_device *device, const blob *from, blob *to, double *seconds)
{
    const PFN_vkGetDeviceProcAddr get = device->runtime->vk.GetDeviceProcAddr;
    const VkDevice vk = device->device;
    const PFN_vkCreatePipelineCache create = (PFN_vkCreatePipelineCache)get(vk, "vkCreatePipelineCache");
    const PFN_vkGetPipelineCacheData get_data = (PFN_vkGetPipelineCacheData)get(vk, "vkGetPipelineCacheData");
    const PFN_vkDestroyPipelineCache destroy = (PFN_vkDestroyPipelineCache)get(vk, "vkDestroyPipelineCache");
    const VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                            .initialDataSize = from->size,
                                            .pInitialData = from->data};
    dmattn_context *context = NULL;
    between =
        (struct between){.get_instance_proc_addr = device->runtime->loader.get_instance_proc_addr,
                         .get_device_proc_addr = get,
                         .create_compute_pipelines = (PFN_vkCreateComputePipelines)get(vk, "vkCreateComputePipelines"),
                         .asks = device->physical->api_version >= VK_API_VERSION_1_3};
    const double begin = dmattn_clock_seconds();
    if (create(vk, &info, NULL, &between.cache))
        return dmattn_fail(device->messenger, DMATTN_ERROR_VULKAN, "the pipeline cache cannot be created");
    dmattn_status status = make_context(device, &context);
    if (!status)
        status = make_plans(context);
    *seconds = dmattn_clock_seconds() - begin;
    to->data = NULL;
    if (!status && !get_data(vk, between.cache, &to->size, NULL))
        to->data = malloc(to->size);
    if (!status && (!to->data || get_data(vk, between.cache, &to->size, to->data)))
        status = dmattn_fail(device->messenger, DMATTN_ERROR_VULKAN, "the pipeline cache has no data");
    dmattn_context_destroy(context);
    destroy(vk, between.cache, NULL);
    return status;
}

/* Does so on a device of a new runtime. *count receives the number of devices. */
static dmattn_status start(const char *selector, const blob *from, blob *to, double *seconds, dmattn_device_info *info,
                           uint32_t *count)
{
    dmattn_runtime *runtime = NULL;
    dmattn_device *device = NULL;
    uint32_t index = 0;
    dmattn_status status = dmattn_runtime_create(&(dmattn_runtime_desc){.message = keep}, &runtime);
    *count = status == DMATTN_ERROR_UNSUPPORTED ? 0 : 1;
    if (!status) {
        *count = dmattn_runtime_device_count(runtime);
        status = dmattn_runtime_find_device(runtime, selector, &index);
    }
    if (!status)
        status = dmattn_runtime_device_info(runtime, index, info);
    if (!status)
        status = dmattn_device_create(runtime, index, &device);
    if (!status)
        status = start_on(device, from, to, seconds);
    dmattn_device_destroy(device);
    dmattn_runtime_destroy(runtime);
    return status;
}

/* ---- three starts ---------------------------------------------------------------------------------------------- */

static bool check(bool again, bool must_tell)
{
    const bool tells = between.told == between.pipelines;
    const char *why = between.without_cache                 ? "a pipeline was made without the app's cache"
                      : must_tell && !tells                 ? "the driver does not report cache hits"
                      : !again && between.hits              ? "a pipeline was found in an empty cache"
                      : again && must_tell && !between.hits ? "no pipeline was found in the saved cache"
                      : between.hits && between.hits != between.pipelines
                          ? "not every pipeline was found in the saved cache"
                          : NULL;
    if (why)
        fprintf(stderr, "dmattn_startup: %s (%u of %u found)\n", why, between.hits, between.pipelines);
    return !why;
}

static const char usage[] = "Usage: dmattn_startup [options]\n"
                            "\n"
                            "Measures how long an app takes to make its plans when it starts, with and\n"
                            "without the pipeline cache that it saved the last time.\n"
                            "\n"
                            "Options:\n"
                            "  --device D     Vulkan device: best, its index, or part of its name (default:\n"
                            "                 DMATTN_TEST_DEVICE, or else the best)\n"
                            "  --hits         fail if the driver does not report what it found in the cache\n"
                            "  -h, --help     print this text and exit\n"
                            "  -V, --version  print the version and exit\n"
                            "\n"
                            "Exit status:\n"
                            "  0  success, or there is no device\n"
                            "  1  the machine failed, or a cache was not used\n"
                            "  2  an option is wrong\n";

static int measure(const char *selector, bool must_tell)
{
    static const char *const names[] = {"empty", "saved", "empty again"};
    const char *required = getenv("DMATTN_REQUIRE_DEVICE");
    blob data[3] = {{0}}, none = {0};
    double seconds[3];
    bool ok = true;
    for (int i = 0; i < 3 && ok; i++) {
        dmattn_device_info info;
        uint32_t count;
        const dmattn_status status = start(selector, i == 1 ? &data[0] : &none, &data[i], &seconds[i], &info, &count);
        if (!count && !(required && !strcmp(required, "1"))) {
            printf("dmattn tests: no device (%s)\n", sentence);
            return 0;
        }
        if (status) {
            fprintf(stderr, "dmattn_startup: %s\n", sentence);
            return 1;
        }
        if (!i)
            printf("%s, %s\n", info.name, info.driver);
        printf("%-12s %8.1f ms, %u of %u pipelines found, %zu bytes to save\n", names[i], 1e3 * seconds[i],
               between.hits, between.pipelines, data[i].size);
        ok = check(i == 1, must_tell);
    }
    if (ok)
        printf("%.1fx faster with the saved cache than with an empty one\n", seconds[2] / seconds[1]);
    for (int i = 0; i < 3; i++)
        free(data[i].data);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {{"device", required_argument, NULL, 'd'},
                                                 {"hits", no_argument, NULL, 'H'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {"version", no_argument, NULL, 'V'},
                                                 {NULL, 0, NULL, 0}};
    const unsigned version = dmattn_version();
    const char *selector = getenv("DMATTN_TEST_DEVICE");
    bool must_tell = false;
    for (int c; (c = getopt_long(argc, argv, "hV", long_options, NULL)) != -1;)
        switch (c) {
        case 'd': selector = optarg; break;
        case 'H': must_tell = true; break;
        case 'h': fputs(usage, stdout); return 0;
        case 'V':
            printf("dmattn_startup %u.%u.%u\n", version / 1000000, version / 1000 % 1000, version % 1000);
            return 0;
        default: return 2;
        }
    return measure(selector, must_tell);
}
