/* SPDX-License-Identifier: MIT
 * The host runtime reports failures of Vulkan. Each Vulkan call fails once with each error; afterwards, with a working
 * driver, the same device works. */
#include "support/harness.h"

#include "runtime/objects.h"

#include <string.h>

/* ---- calls that fail --------------------------------------------------------------------------------------------- */

static VkResult failure;

/* X(name, parameters, statements that use the parameters) */
#define FAILING_FUNCTIONS(X)                                                                                          \
    X(CreateBuffer, (VkDevice a, const VkBufferCreateInfo *b, const VkAllocationCallbacks *c, VkBuffer *d), (void)a,  \
      (void)b, (void)c, (void)d)                                                                                      \
    X(AllocateMemory, (VkDevice a, const VkMemoryAllocateInfo *b, const VkAllocationCallbacks *c, VkDeviceMemory *d), \
      (void)a, (void)b, (void)c, (void)d)                                                                             \
    X(BindBufferMemory, (VkDevice a, VkBuffer b, VkDeviceMemory c, VkDeviceSize d), (void)a, (void)b, (void)c,        \
      (void)d)                                                                                                        \
    X(MapMemory, (VkDevice a, VkDeviceMemory b, VkDeviceSize c, VkDeviceSize d, VkMemoryMapFlags e, void **f),        \
      (void)a, (void)b, (void)c, (void)d, (void)e, (void)f)                                                           \
    X(CreateCommandPool,                                                                                              \
      (VkDevice a, const VkCommandPoolCreateInfo *b, const VkAllocationCallbacks *c, VkCommandPool *d), (void)a,      \
      (void)b, (void)c, (void)d)                                                                                      \
    X(AllocateCommandBuffers, (VkDevice a, const VkCommandBufferAllocateInfo *b, VkCommandBuffer *c), (void)a,        \
      (void)b, (void)c)                                                                                               \
    X(CreateFence, (VkDevice a, const VkFenceCreateInfo *b, const VkAllocationCallbacks *c, VkFence *d), (void)a,     \
      (void)b, (void)c, (void)d)                                                                                      \
    X(CreateQueryPool, (VkDevice a, const VkQueryPoolCreateInfo *b, const VkAllocationCallbacks *c, VkQueryPool *d),  \
      (void)a, (void)b, (void)c, (void)d)                                                                             \
    X(BeginCommandBuffer, (VkCommandBuffer a, const VkCommandBufferBeginInfo *b), (void)a, (void)b)                   \
    X(EndCommandBuffer, (VkCommandBuffer a), (void)a)                                                                 \
    X(ResetFences, (VkDevice a, uint32_t b, const VkFence *c), (void)a, (void)b, (void)c)                             \
    X(QueueSubmit, (VkQueue a, uint32_t b, const VkSubmitInfo *c, VkFence d), (void)a, (void)b, (void)c, (void)d)     \
    X(WaitForFences, (VkDevice a, uint32_t b, const VkFence *c, VkBool32 d, uint64_t e), (void)a, (void)b, (void)c,   \
      (void)d, (void)e)                                                                                               \
    X(GetQueryPoolResults,                                                                                            \
      (VkDevice a, VkQueryPool b, uint32_t c, uint32_t d, size_t e, void *f, VkDeviceSize g, VkQueryResultFlags i),   \
      (void)a, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)i)

#define DEFINE(name, parameters, ...)                     \
    static VKAPI_ATTR VkResult VKAPI_CALL name parameters \
    {                                                     \
        __VA_ARGS__;                                      \
        return failure;                                   \
    }
FAILING_FUNCTIONS(DEFINE)

#define BREAK(name, ...)                          \
    static void break_##name(device_table *table) \
    {                                             \
        table->name = name;                       \
    }
FAILING_FUNCTIONS(BREAK)

static const struct {
    const char *name;
    void (*break_it)(device_table *table);
} calls[] = {
#define ROW(name, ...) {"vk" #name, break_##name},
    FAILING_FUNCTIONS(ROW)};

/* ---- using a device ---------------------------------------------------------------------------------------------- */

/* Uses all functions, up to the first failure. */
static dmattn_status use_device(dmattn_device *device)
{
    dmattn_buffer buffer;
    VkCommandBuffer commands = VK_NULL_HANDLE;
    double seconds;
    uint32_t word = 7;
    dmattn_status status = dmattn_buffer_create(device, sizeof word, &buffer);
    cr_expect_eq(buffer.buffer != VK_NULL_HANDLE, !status);
    if (!status)
        status = dmattn_upload(device, &buffer, 0, &word, sizeof word);
    if (!status) {
        status = dmattn_commands_begin(device, &commands);
        cr_expect_eq(commands != VK_NULL_HANDLE, !status);
    }
    if (!status) {
        dmattn_commands_timestamp(device, 0);
        dmattn_commands_timestamp(device, 1);
        status = dmattn_commands_submit(device);
    }
    if (!status)
        status = dmattn_elapsed(device, 0, 1, &seconds);
    word = 0;
    if (!status)
        status = dmattn_download(device, &buffer, 0, &word, sizeof word);
    cr_expect_eq(word, status ? 0u : 7u);
    dmattn_buffer_destroy(device, &buffer);
    return status;
}

static const struct {
    VkResult result;
    const char *name;
} results[] = {
    {VK_ERROR_OUT_OF_HOST_MEMORY, "VK_ERROR_OUT_OF_HOST_MEMORY"},
    {VK_ERROR_OUT_OF_DEVICE_MEMORY, "VK_ERROR_OUT_OF_DEVICE_MEMORY"},
    {VK_ERROR_DEVICE_LOST, "VK_ERROR_DEVICE_LOST"},
};

/* Each failure gets a new device, because many objects are made on first use. The validation layer reports objects that
 * remain when the device is destroyed. */
DEVICE_TEST(contract_runtime, each_vulkan_call_fails)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (size_t f = 0; f < sizeof results / sizeof *results; f++) {
            dmattn_device *device;
            failure = results[f].result;
            ASSERT_OK(dmattn_device_create(h.runtime, h.index, &device));
            const device_table working = device->vk;
            calls[i].break_it(&device->vk);
            h.sentences = 0;
            h.sentence[0] = 0;
            const dmattn_status status = use_device(device);
            const bool unused = !h.info.timestamps && strstr(calls[i].name, "Query");
            const dmattn_status want = unused                            ? DMATTN_SUCCESS
                                       : failure == VK_ERROR_DEVICE_LOST ? DMATTN_ERROR_VULKAN
                                                                         : DMATTN_ERROR_OUT_OF_MEMORY;
            cr_expect_eq(status, want, "%s, %s: %s (%s)", calls[i].name, results[f].name, dmattn_status_string(status),
                         h.sentence);
            cr_expect_eq(h.sentences, want ? 1u : 0u, "%s: %u messages", calls[i].name, h.sentences);
            /* If device memory for a buffer is missing, the message states that instead. */
            const char *call = calls[i].name, *result = results[f].name;
            if (strstr(h.sentence, "no device memory"))
                call = result = "for a buffer of";
            cr_expect(!want || (strstr(h.sentence, call) && strstr(h.sentence, result)), "%s, %s: %s", calls[i].name,
                      results[f].name, h.sentence);
            device->vk = working;
            ASSERT_OK(use_device(device));
            dmattn_device_destroy(device);
        }
}
