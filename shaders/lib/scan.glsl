// SPDX-License-Identifier: MIT
// Sums over a workgroup of full subgroups.
#ifndef LIB_SCAN_GLSL
#define LIB_SCAN_GLSL

shared uint scan_sums[WORKGROUP / 4]; // one sum per subgroup; subgroups have at least 4 invocations

// The index of an invocation, counted subgroup by subgroup. The local index may count in another order.
uint ordered_invocation()
{
    return gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID;
}

// Returns the sum of x over all invocations before this one, and in `total` the sum over all. Call it in uniform
// control flow.
uint exclusive_scan(uint x, out uint total)
{
    const uint lane = gl_SubgroupInvocationID;
    uint sum = x;
    for (uint step = 1; step < gl_SubgroupSize; step *= 2) {
        uint below = subgroupShuffle(sum, lane >= step ? lane - step : lane);
        sum += lane >= step ? below : 0;
    }
    barrier(); // an earlier scan may still be reading
    if (lane == gl_SubgroupSize - 1)
        scan_sums[gl_SubgroupID] = sum;
    barrier();
    uint before = 0;
    total = 0;
    for (uint i = 0; i < gl_NumSubgroups; i++) {
        before += i < gl_SubgroupID ? scan_sums[i] : 0;
        total += scan_sums[i];
    }
    return before + sum - x;
}

#endif
