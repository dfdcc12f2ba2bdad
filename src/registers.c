/* SPDX-License-Identifier: MIT
 * The subgroup size that kernels ask for, and the registers that a lane then has before the driver's compiler spills
 * them to memory. Both depend on the driver alone, and on the sizes that it offers. */
#include "capabilities.h"

/* docs/notes/experiments.md has what compilers reported of the same kernels at several sizes.
 *
 * Intel: a subgroup has a fixed number of registers, so a lane has twice as many in half as large a subgroup. In
 *   subgroups of 32, kernels spilled hundreds of registers. The smallest size of a generation leaves each lane 128: 8
 *   up to Xe-HPG (Tiger Lake, Arc A), where each register has 32 bytes; 16 since Xe2 (Arc B), where it has 64 bytes.
 *   Xe3 (Panther Lake) gives a subgroup up to 256, in steps of 32; with more than 96, it runs fewer subgroups at the
 *   same time. So only gradients by matrices have more than 128 there.
 * Adreno: spills are the same at 64 and 128, but at 64 a core runs 6 subgroups instead of 2 with one query, and 4
 *   instead of 2 with tiles of 256 invocations. A lane has 192 registers; the estimates miss up to 6 there.
 * RDNA: 32, for which its units are made; 64 takes two passes. A lane has 256 registers in both.
 * NVIDIA: always 32, and 255 registers. For its own driver, the number is an eighth larger, because the estimates were
 *   fitted to other compilers. For a step of decoding with four rows, they say 259, but its compiler needs 254. With
 *   255, such a step would have half as many loads in flight, which was slower. No other tile that is chosen for
 *   NVIDIA's matrices is estimated at more than 255, so every number from 259 on leads to the same tiles.
 * Apple: always 32. Mali: always 16. CPUs: they spill to the cache, so there is no limit. */
#define SMALLEST 0
static const struct known_driver {
    VkDriverId driver;
    uint32_t subgroup;  /* the size to ask for */
    uint32_t registers; /* of a lane in subgroups of this size */
} known_drivers[] = {
    {VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, SMALLEST, 128},
    {VK_DRIVER_ID_INTEL_PROPRIETARY_WINDOWS, SMALLEST, 128},
    {VK_DRIVER_ID_MESA_TURNIP, 64, 186},
    {VK_DRIVER_ID_QUALCOMM_PROPRIETARY, 64, 186},
    {NEWER_DRIVER_ID_MESA_HONEYKRISP, 32, 128},
    {VK_DRIVER_ID_MOLTENVK, 32, 128},
    {VK_DRIVER_ID_MESA_PANVK, 32, 64},
    {VK_DRIVER_ID_ARM_PROPRIETARY, 32, 64},
    {VK_DRIVER_ID_MESA_RADV, 32, 256},
    {VK_DRIVER_ID_AMD_PROPRIETARY, 32, 256},
    {VK_DRIVER_ID_AMD_OPEN_SOURCE, 32, 256},
    {VK_DRIVER_ID_NVIDIA_PROPRIETARY, 32, 288},
    {VK_DRIVER_ID_MESA_NVK, 32, 255},
};
static const struct known_driver other_driver = {.subgroup = 32, .registers = ANY_REGISTERS};

/* Intel's registers are of a subgroup. Those of 32 bytes also hold the two halves of each address, and the addresses
 * of all reads of shared memory. */
#define INTEL_WIDE      16
#define INTEL_ADDRESSES 10

#define XE3_MOST 256

static const struct known_driver *find(const capabilities *caps)
{
    for (size_t i = 0; i < sizeof known_drivers / sizeof *known_drivers; i++)
        if (known_drivers[i].driver == caps->driver)
            return &known_drivers[i];
    return &other_driver;
}

uint32_t dmattn_capabilities_subgroup_size(const capabilities *caps)
{
    const uint32_t wanted = find(caps)->subgroup ? find(caps)->subgroup : caps->min_subgroup_size;
    return dmattn_capabilities_can_require(caps, wanted) ? wanted : caps->subgroup_size;
}

bool dmattn_capabilities_is_intel(const capabilities *caps)
{
    return find(caps)->subgroup == SMALLEST;
}

bool dmattn_capabilities_is_xe3(const capabilities *caps)
{
    return caps->driver == VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA && caps->intel == INTEL_XE3;
}

uint32_t dmattn_capabilities_address_registers(const capabilities *caps)
{
    return dmattn_capabilities_is_intel(caps) && caps->min_subgroup_size < INTEL_WIDE ? INTEL_ADDRESSES : 0;
}

uint32_t dmattn_capabilities_registers(const capabilities *caps)
{
    const struct known_driver *known = find(caps);
    if (!dmattn_capabilities_is_intel(caps))
        return known->registers;
    const uint32_t addresses = dmattn_capabilities_address_registers(caps);
    const uint32_t all = known->registers * caps->min_subgroup_size / dmattn_capabilities_subgroup_size(caps);
    return all > addresses ? all - addresses : 0;
}

uint32_t dmattn_capabilities_matrix_registers(const capabilities *caps)
{
    return dmattn_capabilities_is_xe3(caps) && dmattn_capabilities_subgroup_size(caps) == INTEL_WIDE
               ? XE3_MOST
               : dmattn_capabilities_registers(caps);
}

bool dmattn_capabilities_is_cpu(const capabilities *caps)
{
    return caps->driver == VK_DRIVER_ID_MESA_LLVMPIPE || caps->driver == VK_DRIVER_ID_GOOGLE_SWIFTSHADER;
}

bool dmattn_capabilities_holds_operands_twice(const capabilities *caps)
{
    return caps->driver == VK_DRIVER_ID_MESA_RADV && !caps->matrix[DMATTN_TYPE_BF16].m;
}
