/* SPDX-License-Identifier: MIT
 * The C code in docs/ compiles, makes its plans and records its commands, on a Vulkan without a device. */
#include "support/fake_vulkan.h"

#include <criterion/criterion.h>

#include <stdio.h>

/* ---- the app that the blocks are of ------------------------------------------------------------------------------ */

enum { LENGTH = 512 };

static const uint32_t B = 2, Sq = LENGTH, Sk = LENGTH, H = 4, Hk = 2, D = 64, w = 16, n = 2000;
static const uint32_t total_q = LENGTH, total_k = LENGTH, sequences = 3, left = 100, prefix = 20, pages = 64,
                      max_keys = 1024, prompt_tokens = 100, keys_so_far = 700, entries = 100;
static const float scale = 0.125f, cap = 30;
static int32_t begin_of[LENGTH], end_of[LENGTH];

/* Buffers for fake_vulkan.h. Their addresses are far apart. */
#define BUFFER(n) ((VkBuffer)(uintptr_t)(UINT64_C(n) << 40))
#define AT(n)                                      \
    {                                              \
        .buffer = BUFFER(n), .size = VK_WHOLE_SIZE \
    }
static const dmattn_buffer q = AT(1), k = AT(2), v = AT(3), out = AT(4), lse = AT(5), mask = AT(6), bias = AT(7),
                           begin = AT(8), end = AT(9), lists = AT(10), workspace = AT(11), mask_workspace = AT(12);
static const dmattn_buffer dt_weight = AT(13), a = AT(14), cu_seqlens_q = AT(15), cu_seqlens_k = AT(16);
static const dmattn_buffer dout = AT(17), dq = AT(18), dk = AT(19), dv = AT(20), ddt_weight = AT(21), da = AT(22);
static const dmattn_buffer state = AT(23), page_pool = AT(24), block_table = AT(25), counts = AT(26), keep = AT(27);
static const dmattn_buffer importance = AT(28), sink = AT(31), slopes = AT(34), latent_cache = AT(35),
                           selected = AT(36), item_table = AT(37), item_counts = AT(38), workspace_2 = AT(39),
                           q_index = AT(40), k_index = AT(41), index_weights = AT(42), select_workspace = AT(43),
                           indptr = AT(44), indices = AT(45);
static const dmattn_buffer out_2 = AT(32), lse_2 = AT(33);
#define q_buffer BUFFER(29)
#define q_offset 0
#define q_size   VK_WHOLE_SIZE
#define scratch  BUFFER(30)

static VkInstance instance;
static VkPhysicalDevice physical_device;
static VkDevice device;
static VkPipelineCache cache;
static VkCommandBuffer commands;
static const VkDeviceQueueCreateInfo queue_info = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
static const VkExtensionProperties offered[1];
static const uint32_t offered_count = 0;

static dmattn_context *context;
static dmattn_plan *plan, *attend, *mask_plan, *merge_plan, *select_plan, *plans[16];
static dmattn_plan_info info;

static void app_barrier(VkCommandBuffer buffer)
{
    (void)buffer;
}

/* A scheduler's pages: a row of the block table, and the number of owners of each page. */
static int32_t row[2048];
static uint32_t owners[64] = {2, 1}, pages_taken = 1, pages_copied;

static int32_t app_take_free_page(void)
{
    owners[++pages_taken] = 1;
    return (int32_t)pages_taken;
}

static void app_copy_page(VkCommandBuffer buffer, int32_t from, int32_t to)
{
    (void)buffer;
    cr_expect(from == 0 && to == 2);
    pages_copied++;
}

static void app_give_up(const char *why)
{
    cr_assert(false, "%s", why);
}

static void app_log(const char *text)
{
    cr_expect_not_null(text);
}

/* ---- its Vulkan, loaded as by volk ------------------------------------------------------------------------------- */

static fake_vulkan vulkan;

static VKAPI_ATTR void VKAPI_CALL get_features(VkPhysicalDevice of, VkPhysicalDeviceFeatures2 *has)
{
    (void)of;
    for (VkBaseOutStructure *s = (void *)has; s; s = s->pNext)
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES)
            ((VkPhysicalDeviceBufferDeviceAddressFeatures *)(void *)s)->bufferDeviceAddress = VK_TRUE;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice of, const VkDeviceCreateInfo *with,
                                                    const VkAllocationCallbacks *allocator, VkDevice *made)
{
    (void)of, (void)with, (void)allocator;
    *made = vulkan.desc.device;
    return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL pipeline_barrier(VkCommandBuffer buffer, VkPipelineStageFlags from,
                                                   VkPipelineStageFlags to, VkDependencyFlags flags,
                                                   uint32_t memory_count, const VkMemoryBarrier *memory,
                                                   uint32_t buffer_count, const VkBufferMemoryBarrier *buffers,
                                                   uint32_t image_count, const VkImageMemoryBarrier *images)
{
    (void)buffer, (void)from, (void)to, (void)flags, (void)memory, (void)buffers, (void)images;
    cr_expect(memory_count == 1 && !buffer_count && !image_count);
}

static PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr;
static const PFN_vkGetPhysicalDeviceFeatures2 vkGetPhysicalDeviceFeatures2 = get_features;
static const PFN_vkCreateDevice vkCreateDevice = create_device;
static const PFN_vkCmdPipelineBarrier vkCmdPipelineBarrier = pipeline_barrier;

/* ---- the blocks -------------------------------------------------------------------------------------------------- */

static const char *where = "before the first block"; /* the current block */

static void at(const char *place)
{
    where = place;
}

static void print_sentence(void *user, dmattn_severity severity, const char *text)
{
    (void)user;
    cr_expect(severity != DMATTN_SEVERITY_ERROR, "%s: %s", where, text);
}

/* A reader's own variables may have these names. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#include "doc_fragments.h"
#pragma GCC diagnostic pop

static void run(void (*blocks)(void))
{
    fake_commands recorded;
    commands = fake_commands_begin(&vulkan, &recorded);
    blocks();
    cr_expect_gt(recorded.dispatches, 0);
    cr_expect_eq(vulkan.wrong, 0, "broken: %s", vulkan.rule);
}

/* The blocks of the first page open a device, and those of the other pages use it. */
Test(docs, blocks)
{
    fake_vulkan_init(&vulkan);
    instance = vulkan.desc.instance;
    physical_device = vulkan.desc.physical_device;
    cache = fake_vulkan_cache(&vulkan);
    vkGetInstanceProcAddr = vulkan.desc.get_instance_proc_addr;
    run(embedding);
    run(porting);
    run(engines);
    run(serving);
    cr_expect(row[1000 / 16] == 2 && owners[0] == 1 && pages_copied == 1); /* the shared page 0 was copied to page 2 */
}
