/* SPDX-License-Identifier: MIT
 * Capabilities of a device that does not exist. */
#ifndef DMATTN_TESTS_CAPABILITIES_FIXTURE_H
#define DMATTN_TESTS_CAPABILITIES_FIXTURE_H

#include "capabilities.h"

static inline capabilities usual_capabilities(void)
{
    return (capabilities){
        .api_version = VK_API_VERSION_1_3,
        .subgroup_size = 32,
        .min_subgroup_size = 32,
        .max_subgroup_size = 32,
        .subgroup_stages = VK_SHADER_STAGE_COMPUTE_BIT,
        .subgroup_operations = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT,
        .required_subgroup_size_stages = VK_SHADER_STAGE_COMPUTE_BIT,
        .max_invocations = 1024,
        .max_workgroup_count = {65535, 65535, 65535},
        .shared_memory = 49152,
        .buffer_device_address = true,
        .subgroup_size_control = true,
        .full_subgroups = true,
    };
}

/* The same device with everything that matrices need: shape 16 x 16 x 16, unknown fragment layout. */
static inline capabilities matrix_capabilities(void)
{
    capabilities caps = usual_capabilities();
    caps.subgroup_operations |= VK_SUBGROUP_FEATURE_VOTE_BIT;
    caps.matrix[DMATTN_TYPE_F16] = caps.matrix[DMATTN_TYPE_BF16] = (matrix_shape){16, 16, 16};
    caps.cooperative_matrix = caps.cooperative_matrix2 = caps.bf16_matrices = true;
    return caps;
}

#endif
