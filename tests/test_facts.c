/* SPDX-License-Identifier: MIT
 * What is known of a device, what is wanted of it, and whether it can be used. */
#include "facts.h"

#include <criterion/criterion.h>
#include <string.h>

static void expect_unusable(const device_facts *facts, const char *part)
{
    char why[128] = "";
    cr_expect_eq(dmattn_device_facts_level(facts, why, sizeof why), DMATTN_LEVEL_BEST);
    cr_expect(strstr(why, part), "no '%s' in: %s", part, why);
}

Test(device_facts, level)
{
    char why[128] = "x";
    device_facts facts = usual_facts();
    cr_expect_eq(dmattn_device_facts_level(&facts, why, sizeof why), DMATTN_LEVEL_PORTABLE);
    cr_expect_str_empty(why);
    facts.api_version = VK_API_VERSION_1_2;
    cr_expect_eq(dmattn_device_facts_level(&facts, why, sizeof why), DMATTN_LEVEL_PORTABLE);
    facts.api_version = VK_MAKE_API_VERSION(0, 1, 1, 250);
    expect_unusable(&facts, "Vulkan 1.1");
    facts = usual_facts();
    facts.buffer_device_address = false;
    expect_unusable(&facts, "bufferDeviceAddress");
    facts = usual_facts();
    facts.subgroup_stages = VK_SHADER_STAGE_FRAGMENT_BIT;
    expect_unusable(&facts, "subgroup");
    facts = usual_facts();
    facts.subgroup_operations = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_RELATIVE_BIT;
    expect_unusable(&facts, "shuffle");
    facts = usual_facts();
    facts.subgroup_size = 2;
    expect_unusable(&facts, "2 invocations");
    facts.subgroup_size = 256;
    expect_unusable(&facts, "256 invocations");
    /* optional: they only make it faster */
    facts = usual_facts();
    facts.subgroup_size_control = false;
    facts.full_subgroups = false;
    cr_expect_eq(dmattn_device_facts_level(&facts, why, sizeof why), DMATTN_LEVEL_PORTABLE);
}

Test(device_facts, subgroup_size)
{
    device_facts facts = usual_facts();
    facts.subgroup_size = 64;
    facts.max_subgroup_size = 64;
    cr_expect_eq(dmattn_device_facts_subgroup_size(&facts, 32), 32);
    cr_expect_eq(dmattn_device_facts_subgroup_size(&facts, 16), 64);
    cr_expect_eq(dmattn_device_facts_subgroup_size(&facts, 128), 64);
    facts.subgroup_size_control = false;
    cr_expect_eq(dmattn_device_facts_subgroup_size(&facts, 32), 64);
    facts.subgroup_size_control = true;
    facts.required_subgroup_size_stages = VK_SHADER_STAGE_FRAGMENT_BIT;
    cr_expect_eq(dmattn_device_facts_subgroup_size(&facts, 32), 64);
}

Test(device_facts, read)
{
    for (int sized = 0; sized < 2; sized++) {
        device_properties p;
        dmattn_device_facts_read(&(device_facts){0}, 0, (dmattn_device_properties_chain(&p, sized), &p), NULL);
        cr_expect_eq(p.core.pNext, &p.subgroup);
        cr_expect_eq(p.subgroup.pNext, sized ? (void *)&p.size_control : NULL);
        p.subgroup.subgroupSize = 16;
        p.size_control.minSubgroupSize = 8;
        p.size_control.maxSubgroupSize = 32;
        p.size_control.requiredSubgroupSizeStages = VK_SHADER_STAGE_COMPUTE_BIT;
        p.core.properties.limits.maxComputeWorkGroupInvocations = 1024;
        p.core.properties.limits.maxComputeWorkGroupSize[0] = 512;
        p.core.properties.limits.maxComputeSharedMemorySize = 32768;
        p.core.properties.limits.maxComputeWorkGroupCount[2] = 7;

        VkPhysicalDeviceSubgroupSizeControlFeatures control = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES, .computeFullSubgroups = VK_TRUE};
        VkPhysicalDeviceVulkan12Features v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                                .pNext = &control,
                                                .bufferDeviceAddress = VK_TRUE};
        const VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                                    .pNext = &v12};
        device_facts facts;
        dmattn_device_facts_read(&facts, VK_API_VERSION_1_2, &p, &features);
        cr_expect_eq(facts.api_version, VK_API_VERSION_1_2);
        cr_expect_eq(facts.subgroup_size, 16);
        cr_expect_eq(facts.min_subgroup_size, sized ? 8 : 16);
        cr_expect_eq(facts.max_subgroup_size, sized ? 32 : 16);
        cr_expect_eq(facts.required_subgroup_size_stages, sized ? VK_SHADER_STAGE_COMPUTE_BIT : 0);
        cr_expect_eq(facts.max_invocations, 512);
        cr_expect_eq(facts.shared_memory, 32768);
        cr_expect_eq(facts.max_workgroup_count[2], 7);
        cr_expect(facts.buffer_device_address && facts.full_subgroups && !facts.subgroup_size_control);

        VkPhysicalDeviceVulkan13Features v13 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
                                                .subgroupSizeControl = VK_TRUE};
        VkPhysicalDeviceBufferDeviceAddressFeatures address = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
            .pNext = &v13,
            .bufferDeviceAddress = VK_TRUE};
        dmattn_device_facts_read(
            &facts, VK_API_VERSION_1_3, &p,
            &(VkPhysicalDeviceFeatures2){.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &address});
        cr_expect(facts.buffer_device_address && !facts.full_subgroups && facts.subgroup_size_control);
        dmattn_device_facts_read(&facts, VK_API_VERSION_1_3, &p, NULL);
        cr_expect(!facts.buffer_device_address && !facts.full_subgroups && !facts.subgroup_size_control);
    }
}

static const void *find_structure(const VkPhysicalDeviceFeatures2 *chain, VkStructureType type)
{
    for (const VkBaseInStructure *s = (const void *)chain; s; s = s->pNext)
        if (s->sType == type)
            return s;
    return NULL;
}

/* What is needed is what dmattn_device_facts_level() looks for. */
Test(device_needs, versions)
{
    static const uint32_t versions[] = {VK_API_VERSION_1_2, VK_API_VERSION_1_3};
    for (int i = 0; i < 2; i++) {
        dmattn_device_needs needs;
        dmattn_get_device_needs(versions[i], &needs);
        cr_expect_eq(needs.api_version, VK_API_VERSION_1_2);
        cr_expect_eq(needs.required->sType, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2);
        cr_expect_eq(needs.recommended->sType, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2);
        cr_expect_eq(needs.required_extension_count, 0);
        cr_expect(find_structure(needs.required, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES)
                  || find_structure(needs.required, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES));
        bool listed = false;
        for (uint32_t e = 0; e < needs.recommended_extension_count; e++)
            listed = listed || !strcmp(needs.recommended_extensions[e], VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
        cr_expect_eq(listed, versions[i] < VK_API_VERSION_1_3);

        device_properties p;
        device_facts facts;
        dmattn_device_properties_chain(&p, true);
        dmattn_device_facts_read(&facts, versions[i], &p, needs.required);
        cr_expect(facts.buffer_device_address);
        dmattn_device_facts_read(&facts, versions[i], &p, needs.recommended);
        cr_expect(facts.subgroup_size_control && facts.full_subgroups);
    }
}
