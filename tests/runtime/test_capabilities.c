/* SPDX-License-Identifier: MIT
 * The capabilities of a device, and the level that they allow. */
#include "support/capabilities_fixture.h"

#include <criterion/criterion.h>
#include <string.h>

static void expect_unusable(const capabilities *caps, const char *part)
{
    char why[200] = "";
    cr_expect_eq(dmattn_capabilities_level(caps, why, sizeof why), DMATTN_LEVEL_BEST);
    cr_expect(strstr(why, part), "no '%s' in: %s", part, why);
}

Test(capabilities, level)
{
    char why[128] = "x";
    capabilities caps = usual_capabilities();
    cr_expect_eq(dmattn_capabilities_level(&caps, why, sizeof why), DMATTN_LEVEL_PORTABLE);
    cr_expect_str_empty(why);
    caps.api_version = VK_API_VERSION_1_2;
    cr_expect_eq(dmattn_capabilities_level(&caps, why, sizeof why), DMATTN_LEVEL_PORTABLE);
    caps.api_version = VK_MAKE_API_VERSION(0, 1, 1, 250);
    expect_unusable(&caps, "Vulkan 1.1");
    caps = usual_capabilities();
    caps.buffer_device_address = false;
    expect_unusable(&caps, "bufferDeviceAddress");
    caps = usual_capabilities();
    caps.subgroup_stages = VK_SHADER_STAGE_FRAGMENT_BIT;
    expect_unusable(&caps, "subgroup");
    caps = usual_capabilities();
    caps.subgroup_operations = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_RELATIVE_BIT;
    expect_unusable(&caps, "shuffle");
    caps = usual_capabilities();
    caps.subgroup_size = 2;
    expect_unusable(&caps, "2 invocations");
    caps.subgroup_size = 256;
    expect_unusable(&caps, "256 invocations");
    /* optional capabilities: they affect speed only */
    caps = usual_capabilities();
    caps.subgroup_size_control = false;
    caps.full_subgroups = false;
    cr_expect_eq(dmattn_capabilities_level(&caps, why, sizeof why), DMATTN_LEVEL_PORTABLE);
}

static void expect_cannot(const capabilities *caps, dmattn_level level, const char *part)
{
    char why[200] = "";
    cr_expect_not(dmattn_capabilities_can(caps, level, why, sizeof why), "%s is possible without '%s'",
                  dmattn_level_string(level), part);
    cr_expect(strstr(why, part), "%s: no '%s' in: %s", dmattn_level_string(level), part, why);
}

/* What each level needs; without it the next lower level is the highest. */
Test(capabilities, matrix_levels)
{
    char why[200] = "x";
    capabilities caps = matrix_capabilities();
    for (int level = DMATTN_LEVEL_PORTABLE; level <= DMATTN_LEVEL_MATRIX2; level++) {
        cr_expect(dmattn_capabilities_can(&caps, (dmattn_level)level, why, sizeof why));
        cr_expect_str_empty(why);
    }
    cr_expect_eq(dmattn_capabilities_level(&caps, why, sizeof why), DMATTN_LEVEL_MATRIX2);
    cr_expect_str_empty(why);

    caps.cooperative_matrix2 = false;
    expect_cannot(&caps, DMATTN_LEVEL_MATRIX2, "VK_NV_cooperative_matrix2");
    cr_expect_eq(dmattn_capabilities_level(&caps, why, sizeof why), DMATTN_LEVEL_MATRIX);
    caps = matrix_capabilities();
    caps.api_version = VK_API_VERSION_1_2;
    expect_cannot(&caps, DMATTN_LEVEL_MATRIX2, "Vulkan 1.3");
    cr_expect_eq(dmattn_capabilities_level(&caps, why, sizeof why), DMATTN_LEVEL_MATRIX);
    caps = matrix_capabilities(); /* one type is enough */
    caps.matrix[DMATTN_TYPE_F16] = (matrix_shape){0};
    cr_expect_eq(dmattn_capabilities_level(&caps, why, sizeof why), DMATTN_LEVEL_MATRIX2);
    caps = matrix_capabilities();
    caps.matrix[DMATTN_TYPE_BF16] = (matrix_shape){0};
    cr_expect_eq(dmattn_capabilities_level(&caps, why, sizeof why), DMATTN_LEVEL_MATRIX2);

    static const struct {
        const char *part;
        size_t flag;
    } flags[] = {
        {"VK_KHR_cooperative_matrix", offsetof(capabilities, cooperative_matrix)},
        {"computeFullSubgroups", offsetof(capabilities, full_subgroups)},
    };
    for (int i = 0; i < 4; i++) {
        caps = matrix_capabilities();
        const char *part = "cannot vote";
        if (i < 2) {
            *(bool *)((char *)&caps + flags[i].flag) = false;
            part = flags[i].part;
        } else if (i == 2) {
            caps.matrix[DMATTN_TYPE_F16] = caps.matrix[DMATTN_TYPE_BF16] = (matrix_shape){0};
            part = "no matrices of 16-bit elements";
        } else
            caps.subgroup_operations &= ~(VkSubgroupFeatureFlags)VK_SUBGROUP_FEATURE_VOTE_BIT;
        expect_cannot(&caps, DMATTN_LEVEL_MATRIX, part);
        expect_cannot(&caps, DMATTN_LEVEL_MATRIX2, part);
        cr_expect_eq(dmattn_capabilities_level(&caps, why, sizeof why), DMATTN_LEVEL_PORTABLE, "without '%s'", part);
        cr_expect_str_empty(why);
    }
    caps = matrix_capabilities(); /* what every level needs */
    caps.buffer_device_address = false;
    for (int level = DMATTN_LEVEL_PORTABLE; level <= DMATTN_LEVEL_MATRIX2; level++)
        expect_cannot(&caps, (dmattn_level)level, "bufferDeviceAddress");
    expect_unusable(&caps, "bufferDeviceAddress");
}

/* Each driver's subgroup size and registers, with the sizes that its devices have. */
Test(capabilities, registers)
{
    static const struct {
        VkDriverId driver;
        uint32_t least, usual, most; /* sizes of the device */
        uint32_t size, registers;    /* that follow */
    } rows[] = {
        {VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, 8, 32, 32, 8, 118},
        {VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, 16, 32, 32, 16, 128},
        {VK_DRIVER_ID_INTEL_PROPRIETARY_WINDOWS, 8, 32, 32, 8, 118},
        {VK_DRIVER_ID_MESA_TURNIP, 64, 128, 128, 64, 186},
        {VK_DRIVER_ID_QUALCOMM_PROPRIETARY, 64, 64, 64, 64, 186},
        {NEWER_DRIVER_ID_MESA_HONEYKRISP, 32, 32, 32, 32, 128},
        {VK_DRIVER_ID_MESA_PANVK, 16, 16, 16, 16, 64},
        {VK_DRIVER_ID_MESA_RADV, 32, 64, 64, 32, 256},
        {VK_DRIVER_ID_MESA_RADV, 64, 64, 64, 64, 256},
        {VK_DRIVER_ID_NVIDIA_PROPRIETARY, 32, 32, 32, 32, 288},
        {VK_DRIVER_ID_MESA_NVK, 32, 32, 32, 32, 255},
        {VK_DRIVER_ID_MESA_LLVMPIPE, 8, 8, 8, 8, ANY_REGISTERS},
        {VK_DRIVER_ID_GOOGLE_SWIFTSHADER, 4, 4, 4, 4, ANY_REGISTERS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        capabilities caps = usual_capabilities();
        caps.driver = rows[i].driver;
        caps.subgroup_size = rows[i].usual;
        caps.min_subgroup_size = rows[i].least;
        caps.max_subgroup_size = rows[i].most;
        cr_expect_eq(dmattn_capabilities_subgroup_size(&caps), rows[i].size, "row %zu", i);
        cr_expect_eq(dmattn_capabilities_registers(&caps), rows[i].registers, "row %zu", i);
    }
}

/* The generation follows from the ids of the device, and only with them. */
Test(capabilities, intel_generation)
{
    static const struct {
        const char *name;
        uint32_t vendor, device;
        intel_generation generation;
    } rows[] = {
        {"Panther Lake, first", 0x8086, 0xb080, INTEL_XE3},
        {"Panther Lake", 0x8086, 0xb08f, INTEL_XE3},
        {"Panther Lake, last", 0x8086, 0xb0b0, INTEL_XE3},
        {"Wildcat Lake", 0x8086, 0xfd81, INTEL_XE3},
        {"Arc B580", 0x8086, 0xe20b, INTEL_OTHER},
        {"Lunar Lake", 0x8086, 0x64a0, INTEL_OTHER},
        {"Arc A770", 0x8086, 0x56a0, INTEL_OTHER},
        {"Nova Lake, which is not tried", 0x8086, 0xd740, INTEL_OTHER},
        {"more than the 16 bits of PCI", 0x8086, 0x1b080, INTEL_OTHER},
        {"another vendor", 0x10de, 0xb080, INTEL_OTHER},
        {"nothing", 0, 0, INTEL_OTHER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        device_properties p;
        capabilities caps;
        cr_expect_eq(dmattn_intel_generation(rows[i].vendor, rows[i].device), rows[i].generation, "%s", rows[i].name);
        dmattn_device_properties_chain(&p, false);
        p.core.properties.vendorID = rows[i].vendor;
        p.core.properties.deviceID = rows[i].device;
        dmattn_capabilities_read(&caps, VK_API_VERSION_1_2, &p, NULL);
        cr_expect_eq(caps.intel, rows[i].generation, "%s", rows[i].name);
    }
}

/* Kernels by matrices have more registers on Xe3, by Mesa's driver and in subgroups of 16; all others have the same. */
Test(capabilities, matrix_registers)
{
    capabilities caps = usual_capabilities();
    cr_expect_eq(dmattn_capabilities_matrix_registers(&caps), ANY_REGISTERS);
    caps.driver = VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA;
    caps.min_subgroup_size = 16;
    cr_expect_eq(dmattn_capabilities_matrix_registers(&caps), 128);
    cr_expect(!dmattn_capabilities_is_xe3(&caps));
    caps.intel = INTEL_XE3;
    cr_expect(dmattn_capabilities_is_xe3(&caps));
    cr_expect_eq(dmattn_capabilities_matrix_registers(&caps), 256);
    cr_expect_eq(dmattn_capabilities_registers(&caps), 128);
    caps.subgroup_size_control = false;
    cr_expect_eq(dmattn_capabilities_matrix_registers(&caps), 64);
    caps.subgroup_size_control = true;
    caps.driver = VK_DRIVER_ID_INTEL_PROPRIETARY_WINDOWS;
    cr_expect(!dmattn_capabilities_is_xe3(&caps));
    cr_expect_eq(dmattn_capabilities_matrix_registers(&caps), 128);
}

/* If no size can be required, it is the default, and on Intel a lane has fewer registers in a larger subgroup. */
Test(capabilities, subgroup_size)
{
    capabilities caps = usual_capabilities();
    caps.subgroup_size = caps.max_subgroup_size = 64;
    cr_expect_eq(dmattn_capabilities_subgroup_size(&caps), 32);
    caps.subgroup_size_control = false;
    cr_expect_eq(dmattn_capabilities_subgroup_size(&caps), 64);
    caps.subgroup_size_control = true;
    caps.required_subgroup_size_stages = VK_SHADER_STAGE_FRAGMENT_BIT;
    cr_expect_eq(dmattn_capabilities_subgroup_size(&caps), 64);
    caps.driver = VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA;
    caps.min_subgroup_size = 16;
    caps.subgroup_size = 32;
    cr_expect_eq(dmattn_capabilities_subgroup_size(&caps), 32);
    cr_expect_eq(dmattn_capabilities_registers(&caps), 64);
    caps.min_subgroup_size = 4; /* no driver reports this */
    caps.subgroup_size = 128;
    cr_expect_eq(dmattn_capabilities_registers(&caps), 0);
}

Test(capabilities, read)
{
    for (int sized = 0; sized < 2; sized++) {
        device_properties p;
        dmattn_capabilities_read(&(capabilities){0}, 0, (dmattn_device_properties_chain(&p, sized), &p), NULL);
        cr_expect_eq(p.core.pNext, &p.subgroup);
        cr_expect_eq(p.subgroup.pNext, &p.driver);
        cr_expect_eq(p.driver.pNext, sized ? (void *)&p.size_control : NULL);
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
        capabilities caps;
        dmattn_capabilities_read(&caps, VK_API_VERSION_1_2, &p, &features);
        cr_expect_eq(caps.api_version, VK_API_VERSION_1_2);
        cr_expect_eq(caps.subgroup_size, 16);
        cr_expect_eq(caps.min_subgroup_size, sized ? 8 : 16);
        cr_expect_eq(caps.max_subgroup_size, sized ? 32 : 16);
        cr_expect_eq(caps.required_subgroup_size_stages, sized ? VK_SHADER_STAGE_COMPUTE_BIT : 0);
        cr_expect_eq(caps.max_invocations, 512);
        cr_expect_eq(caps.shared_memory, 32768);
        cr_expect_eq(caps.max_workgroup_count[2], 7);
        cr_expect(caps.buffer_device_address && caps.full_subgroups && !caps.subgroup_size_control);

        VkPhysicalDeviceVulkan13Features v13 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
                                                .subgroupSizeControl = VK_TRUE};
        VkPhysicalDeviceBufferDeviceAddressFeatures address = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
            .pNext = &v13,
            .bufferDeviceAddress = VK_TRUE};
        dmattn_capabilities_read(
            &caps, VK_API_VERSION_1_3, &p,
            &(VkPhysicalDeviceFeatures2){.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &address});
        cr_expect(caps.buffer_device_address && !caps.full_subgroups && caps.subgroup_size_control);
        dmattn_capabilities_read(&caps, VK_API_VERSION_1_3, &p, NULL);
        cr_expect(!caps.buffer_device_address && !caps.full_subgroups && !caps.subgroup_size_control);
    }
}

/* ---- features for matrices ----------------------------------------------------------------------------------- */

/* A chain of structures with all features. A test disables some of them. */
typedef struct matrix_chain {
    VkPhysicalDeviceFeatures2 head;
    VkPhysicalDeviceVulkanMemoryModelFeatures memory_model;
    VkPhysicalDeviceShaderFloat16Int8Features float16;
    VkPhysicalDeviceMaintenance4Features maintenance4;
    VkPhysicalDeviceVulkan12Features v12;
    VkPhysicalDeviceVulkan13Features v13;
    newer_matrix_features matrix;
    newer_matrix2_features matrix2;
    newer_bfloat16_features bfloat16;
} matrix_chain;

/* Enables all features. With `core`, those of Vulkan 1.2 and 1.3 are in the structures of these versions. */
static void fill_chain(matrix_chain *c, bool core)
{
    *c = (matrix_chain){
        .head = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2},
        .memory_model = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES,
                         .pNext = &c->float16,
                         .vulkanMemoryModel = VK_TRUE,
                         .vulkanMemoryModelDeviceScope = VK_TRUE},
        .float16 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES,
                    .pNext = &c->maintenance4,
                    .shaderFloat16 = VK_TRUE},
        .maintenance4 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES, .maintenance4 = VK_TRUE},
        .v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                .pNext = &c->v13,
                .shaderFloat16 = VK_TRUE,
                .vulkanMemoryModel = VK_TRUE,
                .vulkanMemoryModelDeviceScope = VK_TRUE},
        .v13 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES, .maintenance4 = VK_TRUE},
    };
    void *next = core ? (void *)&c->v12 : &c->memory_model;
    c->matrix = (newer_matrix_features){
        .sType = NEWER_STRUCTURE_TYPE_MATRIX_FEATURES, .pNext = next, .cooperativeMatrix = VK_TRUE};
    next = &c->matrix;
    c->matrix2 = (newer_matrix2_features){.sType = NEWER_STRUCTURE_TYPE_MATRIX2_FEATURES,
                                          .pNext = next,
                                          .cooperativeMatrixReductions = VK_TRUE,
                                          .cooperativeMatrixConversions = VK_TRUE,
                                          .cooperativeMatrixPerElementOperations = VK_TRUE};
    next = &c->matrix2;
    c->bfloat16 = (newer_bfloat16_features){.sType = NEWER_STRUCTURE_TYPE_BFLOAT16_FEATURES,
                                            .pNext = next,
                                            .shaderBFloat16Type = VK_TRUE,
                                            .shaderBFloat16CooperativeMatrix = VK_TRUE};
    next = &c->bfloat16;
    c->head.features.shaderInt64 = VK_TRUE;
    c->head.pNext = next;
}

static capabilities read_chain(const matrix_chain *c)
{
    device_properties p;
    capabilities caps;
    dmattn_device_properties_chain(&p, true);
    dmattn_capabilities_read(&caps, VK_API_VERSION_1_3, &p, &c->head);
    return caps;
}

/* Disables one feature and checks which of the three capabilities remain. */
#define WITHOUT(structure, feature, m, m2, b)                                           \
    for (int core = 0; core < 2; core++) {                                              \
        fill_chain(&c, core);                                                           \
        c.structure.feature = VK_FALSE;                                                 \
        const capabilities caps = read_chain(&c);                                       \
        cr_expect_eq(caps.cooperative_matrix, m, "core %d, without " #feature, core);   \
        cr_expect_eq(caps.cooperative_matrix2, m2, "core %d, without " #feature, core); \
        cr_expect_eq(caps.bf16_matrices, b, "core %d, without " #feature, core);        \
    }

Test(capabilities, matrix_features)
{
    matrix_chain c;
    WITHOUT(head.features, geometryShader, true, true, true); /* not needed by dmattn */
    WITHOUT(matrix, cooperativeMatrix, false, true, true);
    WITHOUT(matrix, cooperativeMatrixRobustBufferAccess, true, true, true);
    WITHOUT(matrix2, cooperativeMatrixReductions, true, false, true);
    WITHOUT(matrix2, cooperativeMatrixConversions, true, false, true);
    WITHOUT(matrix2, cooperativeMatrixPerElementOperations, true, false, true);
    WITHOUT(matrix2, cooperativeMatrixWorkgroupScope, true, true, true);
    WITHOUT(bfloat16, shaderBFloat16Type, true, true, false);
    WITHOUT(bfloat16, shaderBFloat16CooperativeMatrix, true, true, false);
    WITHOUT(bfloat16, shaderBFloat16DotProduct, true, true, true);
    /* other features that matrices need */
    static const struct {
        bool memory_model, scope, float16, int64, maintenance4;
    } rows[] = {{0, 1, 1, 1, 1}, {1, 0, 1, 1, 1}, {1, 1, 0, 1, 1}, {1, 1, 1, 0, 1}, {1, 1, 1, 1, 0}, {1, 1, 1, 1, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int core = 0; core < 2; core++) {
            fill_chain(&c, core);
            c.memory_model.vulkanMemoryModel = c.v12.vulkanMemoryModel = rows[i].memory_model;
            c.memory_model.vulkanMemoryModelDeviceScope = c.v12.vulkanMemoryModelDeviceScope = rows[i].scope;
            c.float16.shaderFloat16 = c.v12.shaderFloat16 = rows[i].float16;
            c.head.features.shaderInt64 = rows[i].int64;
            c.maintenance4.maintenance4 = c.v13.maintenance4 = rows[i].maintenance4;
            const capabilities caps = read_chain(&c);
            cr_expect_eq(caps.cooperative_matrix,
                         rows[i].memory_model && rows[i].scope && rows[i].float16 && rows[i].int64, "row %zu, core %d",
                         i, core);
            cr_expect_eq(caps.cooperative_matrix2, rows[i].maintenance4, "row %zu, core %d", i, core);
        }
}

/* Layouts are known of one driver only. */
Test(capabilities, fragments)
{
    device_properties p;
    capabilities caps;
    dmattn_device_properties_chain(&p, true);
    for (int driver = 0; driver < 30; driver++) {
        p.driver.driverID = (VkDriverId)driver;
        dmattn_capabilities_read(&caps, VK_API_VERSION_1_3, &p, NULL);
        cr_expect_eq(caps.driver, p.driver.driverID);
        cr_expect_eq(caps.fragment_layout == LAYOUT_QUAD_ROWS, driver == VK_DRIVER_ID_NVIDIA_PROPRIETARY);
    }
}

#define PRODUCT(m, n, k, a, b, c, r, where)                                                       \
    {                                                                                             \
        .sType = NEWER_STRUCTURE_TYPE_MATRIX_PROPERTIES, .MSize = m, .NSize = n, .KSize = k,      \
        .AType = NEWER_COMPONENT_##a, .BType = NEWER_COMPONENT_##b, .CType = NEWER_COMPONENT_##c, \
        .ResultType = NEWER_COMPONENT_##r, .scope = NEWER_SCOPE_##where                           \
    }
#define F16_PRODUCT(m, n, k)  PRODUCT(m, n, k, FLOAT16, FLOAT16, FLOAT32, FLOAT32, SUBGROUP)
#define BF16_PRODUCT(m, n, k) PRODUCT(m, n, k, BFLOAT16, BFLOAT16, FLOAT32, FLOAT32, SUBGROUP)
#define COUNT(array)          ((uint32_t)(sizeof array / sizeof *array))

static void expect_shape(const char *what, matrix_shape got, uint32_t m, uint32_t n, uint32_t k)
{
    cr_expect(got.m == m && got.n == n && got.k == k, "%s: %ux%ux%u instead of %ux%ux%u", what, got.m, got.n, got.k, m,
              n, k);
}

Test(capabilities, matrices)
{
    capabilities caps = {0};
    dmattn_capabilities_read_matrices(&caps, NULL, 0);
    expect_shape("nothing", caps.matrix[DMATTN_TYPE_F16], 0, 0, 0);

    static const newer_matrix_properties others[] = {
        PRODUCT(16, 16, 16, FLOAT16, FLOAT16, FLOAT16, FLOAT16, SUBGROUP),
        PRODUCT(16, 16, 16, FLOAT16, FLOAT16, FLOAT16, FLOAT32, SUBGROUP),
        PRODUCT(16, 16, 16, FLOAT16, FLOAT16, FLOAT32, FLOAT16, SUBGROUP),
        PRODUCT(16, 16, 16, FLOAT32, FLOAT16, FLOAT32, FLOAT32, SUBGROUP),
        PRODUCT(16, 16, 16, FLOAT16, SINT8, FLOAT32, FLOAT32, SUBGROUP),
        PRODUCT(16, 16, 16, FLOAT16, FLOAT16, FLOAT32, FLOAT32, WORKGROUP),
        PRODUCT(16, 16, 16, SINT8, SINT8, SINT32, SINT32, SUBGROUP),
        F16_PRODUCT(16, 8, 8), /* no kernel was tested with these shapes */
        F16_PRODUCT(32, 32, 32),
        F16_PRODUCT(16, 16, 4),
    };
    dmattn_capabilities_read_matrices(&caps, others, COUNT(others));
    expect_shape("others", caps.matrix[DMATTN_TYPE_F16], 0, 0, 0);

    static const newer_matrix_properties lavapipe[] = {PRODUCT(8, 8, 8, SINT8, SINT8, SINT32, SINT32, SUBGROUP),
                                                       F16_PRODUCT(8, 8, 8),
                                                       PRODUCT(8, 8, 8, FLOAT16, FLOAT16, FLOAT16, FLOAT16, SUBGROUP)};
    dmattn_capabilities_read_matrices(&caps, lavapipe, COUNT(lavapipe));
    expect_shape("lavapipe", caps.matrix[DMATTN_TYPE_F16], 8, 8, 8);

    /* the largest is chosen, in any order; of equal sizes a square one */
    static const newer_matrix_properties several[] = {F16_PRODUCT(8, 8, 8),   F16_PRODUCT(16, 16, 8),
                                                      F16_PRODUCT(8, 8, 16),  F16_PRODUCT(16, 8, 16),
                                                      F16_PRODUCT(8, 16, 16), F16_PRODUCT(16, 16, 16)};
    static const matrix_shape best[] = {{8, 8, 8}, {16, 16, 8}, {8, 8, 16}, {16, 8, 16}, {8, 16, 16}, {16, 16, 16}};
    for (uint32_t count = 1; count <= COUNT(several); count++) {
        dmattn_capabilities_read_matrices(&caps, several, count);
        expect_shape("several", caps.matrix[DMATTN_TYPE_F16], best[count - 1].m, best[count - 1].n, best[count - 1].k);
        cr_expect_eq(caps.narrow_matrices, count >= 4);
    }
    dmattn_capabilities_read_matrices(&caps, others, COUNT(others)); /* the former shapes must be gone */
    expect_shape("others", caps.matrix[DMATTN_TYPE_F16], 0, 0, 0);

    static const newer_matrix_properties both[] = {
        PRODUCT(16, 16, 16, BFLOAT16, BFLOAT16, BFLOAT16, BFLOAT16, SUBGROUP), BF16_PRODUCT(16, 8, 16),
        F16_PRODUCT(8, 8, 16)};
    caps = (capabilities){.bf16_matrices = true};
    dmattn_capabilities_read_matrices(&caps, both, COUNT(both));
    expect_shape("f16", caps.matrix[DMATTN_TYPE_F16], 8, 8, 16);
    expect_shape("bf16", caps.matrix[DMATTN_TYPE_BF16], 16, 8, 16);
    cr_expect_not(caps.narrow_matrices, "they are of bf16");
    caps = (capabilities){0}; /* the feature is not enabled */
    dmattn_capabilities_read_matrices(&caps, both, COUNT(both));
    expect_shape("f16", caps.matrix[DMATTN_TYPE_F16], 8, 8, 16);
    expect_shape("bf16", caps.matrix[DMATTN_TYPE_BF16], 0, 0, 0);
}
