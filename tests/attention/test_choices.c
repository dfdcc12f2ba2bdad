/* SPDX-License-Identifier: MIT
 * Which tiles the library chooses for typical problems on devices of each kind. Those of the H200 were measured; for
 * most others, only a compiler is known (docs/notes/experiments.md, compilers.md). Whoever changes a choice must write
 * the new one here. */
#include "attention/desc.h"
#include "backward/backward.h"
#include "decode/stage.h"
#include "support/capabilities_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* ---- devices, with what their drivers report --------------------------------------------------------------------- */

#define MESA_26_1 VK_MAKE_API_VERSION(0, 26, 1, 0)

/* A device with subgroups of `least` to `most` invocations, and no matrices. */
static capabilities device(VkDriverId driver, uint32_t least, uint32_t most, uint32_t shared_memory)
{
    capabilities caps = usual_capabilities();
    caps.driver = driver;
    caps.driver_version = MESA_26_1;
    caps.min_subgroup_size = least;
    caps.subgroup_size = caps.max_subgroup_size = most;
    caps.shared_memory = shared_memory;
    return caps;
}

/* Adds matrices of f16. */
static capabilities with_matrices(capabilities caps, uint32_t m, uint32_t n, uint32_t k)
{
    caps.subgroup_operations |= VK_SUBGROUP_FEATURE_VOTE_BIT;
    caps.cooperative_matrix = true;
    caps.matrix[DMATTN_TYPE_F16] = (matrix_shape){m, n, k};
    return caps;
}

static capabilities h200(void)
{
    capabilities caps = with_matrices(device(VK_DRIVER_ID_NVIDIA_PROPRIETARY, 32, 32, 49152), 16, 16, 16);
    caps.cooperative_matrix2 = true;
    caps.fragment_layout = LAYOUT_QUAD_ROWS;
    caps.narrow_matrices = true;
    return caps;
}

static capabilities lavapipe(void)
{
    capabilities caps = with_matrices(device(VK_DRIVER_ID_MESA_LLVMPIPE, 8, 8, 32768), 8, 8, 8);
    caps.cooperative_matrix2 = true;
    return caps;
}

static capabilities swiftshader(void)
{
    capabilities caps = device(VK_DRIVER_ID_GOOGLE_SWIFTSHADER, 4, 4, 32768);
    caps.max_invocations = 256;
    return caps;
}

/* Intel Arc B580 */
static capabilities bmg(void)
{
    return with_matrices(device(VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, 16, 32, 49152), 8, 16, 16);
}

/* Intel Panther Lake */
static capabilities ptl(void)
{
    capabilities caps = bmg();
    caps.intel = INTEL_XE3;
    return caps;
}

/* Intel Arc A770 */
static capabilities dg2(void)
{
    return with_matrices(device(VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, 8, 32, 49152), 8, 8, 16);
}

static capabilities adreno740(void)
{
    capabilities caps = device(VK_DRIVER_ID_MESA_TURNIP, 64, 128, 32768);
    caps.max_invocations = 2048;
    return caps;
}

/* Apple M1 by Honeykrisp */
static capabilities m1(void)
{
    return device(NEWER_DRIVER_ID_MESA_HONEYKRISP, 32, 32, 32768);
}

/* NVIDIA by NVK */
static capabilities nvk(void)
{
    return with_matrices(device(VK_DRIVER_ID_MESA_NVK, 32, 32, 49152), 16, 16, 16);
}

/* AMD Radeon RX 7900 by RADV */
static capabilities navi31(void)
{
    return with_matrices(device(VK_DRIVER_ID_MESA_RADV, 32, 64, 65536), 16, 16, 16);
}

/* AMD Radeon RX 9070 by RADV */
static capabilities gfx1201(void)
{
    capabilities caps = navi31();
    caps.matrix[DMATTN_TYPE_BF16] = caps.matrix[DMATTN_TYPE_F16];
    return caps;
}

/* ---- problems ---------------------------------------------------------------------------------------------------- */

#define SIZES .type = DMATTN_TYPE_F16, .batch = 4, .queries = 4096, .keys = 4096, .heads = 8, .kv_heads = 2
#define STEP  .type = DMATTN_TYPE_F16, .batch = 1, .queries = 1, .heads = 8, .kv_heads = 2

enum { FORWARD_64, FORWARD_128, FORWARD_256, FORWARD_512, LISTED_128, ONE_QUERY_128, ONE_QUERY_LATENT, FORWARD_COUNT };
static const dmattn_attention_desc forward[FORWARD_COUNT] = {
    [FORWARD_64] = {SIZES, .head_dim = 64},
    [FORWARD_128] = {SIZES, .head_dim = 128},
    [FORWARD_256] = {SIZES, .head_dim = 256},
    [FORWARD_512] = {SIZES, .head_dim = 512},
    [LISTED_128] = {SIZES, .head_dim = 128, .mask = DMATTN_MASK_INTERVALS, .mask_shape = {.heads = 2}},
    [ONE_QUERY_128] = {STEP, .keys = 4096, .head_dim = 128},
    [ONE_QUERY_LATENT] = {.type = DMATTN_TYPE_F16,
                          .batch = 1,
                          .queries = 1,
                          .keys = 4096,
                          .heads = 128,
                          .kv_heads = 1,
                          .head_dim = 576,
                          .value_dim = 512},
};

enum { GRADIENTS_64, GRADIENTS_128, GRADIENTS_256, GRADIENTS_COUNT };
static const dmattn_attention_backward_desc gradients[GRADIENTS_COUNT] = {
    [GRADIENTS_64] = {.attention = {SIZES, .head_dim = 64}},
    [GRADIENTS_128] = {.attention = {SIZES, .head_dim = 128}},
    [GRADIENTS_256] = {.attention = {SIZES, .head_dim = 256}},
};

enum { CACHE_128, PAGES_64, DECODE_COUNT };
static const dmattn_decode_desc decode[DECODE_COUNT] = {
    [CACHE_128] = {.attention = {STEP, .head_dim = 128},
                   .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 1024, .causal = true}},
    [PAGES_64] = {.attention = {STEP, .head_dim = 64},
                  .selection = {.causal = true},
                  .cache = DMATTN_CACHE_PAGED,
                  .page_size = 64,
                  .pages = 64,
                  .max_keys = 4096},
};

/* ---- the choices ------------------------------------------------------------------------------------------------- */

/* Each text has the level and the form; the invocations of a workgroup and of a subgroup; rows x keys; then
 * - portable: the lanes of a row, the elements of a product's pass, the keys of a pass over values;
 * - by matrices: the blocks of a row that are in registers: of q, and for gradients of dout (or of k, and of v);
 * - decoding: the lanes of a row (portable), the loads in flight.
 * "band" follows if the output is made in bands of fewer than 256 columns,
 * "splits" follows if several workgroups share the keys of a row. */
static const struct choices {
    const char *name;
    capabilities (*device)(void);
    const char *forward[FORWARD_COUNT];
    const char *queries[GRADIENTS_COUNT]; /* the tile for dq */
    const char *keys[GRADIENTS_COUNT];    /* the tile for dk and dv */
    const char *decode[DECODE_COUNT];
} table[] = {
    {
        .name = "H200",
        .device = h200,
        .forward[FORWARD_64] = "matrix2/fragments 128/32 128x64 blocks 4",
        .forward[FORWARD_128] = "matrix2/fragments 256/32 256x32 blocks 5",
        .forward[FORWARD_256] = "matrix2/fragments 256/32 128x16 blocks 13",
        .forward[FORWARD_512] = "matrix2/fragments 256/32 128x16 blocks 27 band 128",
        .forward[LISTED_128] = "matrix2/fragments 256/32 128x48 blocks 8",
        .forward[ONE_QUERY_128] = "matrix2/fragments 128/32 64x32 blocks 8 splits 32",
        .forward[ONE_QUERY_LATENT] = "matrix2/fragments 256/32 128x16 blocks 31 band 128 splits 64",
        .queries[GRADIENTS_64] = "matrix2/fragments 128/32 128x32 blocks 4+4 buffers 2",
        .queries[GRADIENTS_128] = "matrix2/fragments 256/32 128x48 blocks 8+8 buffers 1",
        .queries[GRADIENTS_256] = "matrix2/fragments 128/32 64x16 blocks 12+8 buffers 1",
        .keys[GRADIENTS_64] = "matrix2/fragments 128/32 64x64 blocks 4+4 buffers 1",
        .keys[GRADIENTS_128] = "matrix2/fragments 256/32 16x128 blocks 8+8 buffers 1",
        .keys[GRADIENTS_256] = "matrix2/fragments 128/32 16x64 blocks 4+16 buffers 1 two passes",
        .decode[CACHE_128] = "matrix/shared 256/32 16x64 ahead 8 splits 17",
        .decode[PAGES_64] = "matrix/fragments 256/32 16x256 ahead 8 splits 32",
    },
    {
        .name = "lavapipe",
        .device = lavapipe,
        .forward[FORWARD_64] = "matrix2/reduced 64/8 64x32 blocks 8",
        .forward[FORWARD_128] = "matrix2/reduced 64/8 64x32 blocks 16",
        .forward[FORWARD_256] = "matrix2/reduced 32/8 32x16 blocks 32",
        .forward[FORWARD_512] = "matrix/shared 24/8 24x8 blocks 16 band 128",
        .forward[LISTED_128] = "matrix2/reduced 64/8 64x32 blocks 16",
        .forward[ONE_QUERY_128] = "matrix2/reduced 64/8 64x32 blocks 16 splits 32",
        .forward[ONE_QUERY_LATENT] = "matrix/shared 24/8 24x8 blocks 24 band 128 splits 21",
        .queries[GRADIENTS_64] = "matrix2/reduced 32/8 32x8 blocks 2+2 buffers 1",
        .queries[GRADIENTS_128] = "matrix2/reduced 32/8 32x8 blocks 2+2 buffers 1",
        .queries[GRADIENTS_256] = "matrix2/reduced 16/8 16x8 blocks 32+32 buffers 1",
        .keys[GRADIENTS_64] = "matrix2/reduced 32/8 8x32 blocks 2+2 buffers 1",
        .keys[GRADIENTS_128] = "matrix2/reduced 32/8 8x32 blocks 2+2 buffers 1",
        .keys[GRADIENTS_256] = "matrix2/reduced 16/8 8x16 blocks 32+32 buffers 1 two passes",
        .decode[CACHE_128] = "matrix/shared 256/8 8x32 ahead 8 splits 33",
        .decode[PAGES_64] = "portable 128/8 4x256 lanes 4 ahead 1 splits 64",
    },
    {
        .name = "SwiftShader",
        .device = swiftshader,
        .forward[FORWARD_64] = "portable 64/4 32x32 lanes 4 depth 16 values 8",
        .forward[FORWARD_128] = "portable 64/4 32x32 lanes 4 depth 16 values 8",
        .forward[FORWARD_256] = "portable 64/4 32x32 lanes 4 depth 16 values 8",
        .forward[FORWARD_512] = "portable 64/4 32x32 lanes 4 depth 16 values 8",
        .forward[LISTED_128] = "portable 64/4 32x32 lanes 4 depth 16 values 8",
        .forward[ONE_QUERY_128] = "portable 64/4 32x32 lanes 4 depth 16 values 8 splits 32",
        .forward[ONE_QUERY_LATENT] = "portable 64/4 32x32 lanes 4 depth 16 values 8 splits 32",
        .queries[GRADIENTS_64] = "portable 64/4 32x32 lanes 4 depth 16 values 8",
        .queries[GRADIENTS_128] = "portable 64/4 32x32 lanes 4 depth 16 values 8",
        .queries[GRADIENTS_256] = "portable 64/4 32x32 lanes 4 depth 16 values 8",
        .keys[GRADIENTS_64] = "portable 64/4 32x32 lanes 4 depth 16 values 8",
        .keys[GRADIENTS_128] = "portable 64/4 32x32 lanes 4 depth 16 values 8",
        .keys[GRADIENTS_256] = "portable 64/4 32x32 lanes 4 depth 16 values 8",
        .decode[CACHE_128] = "portable 128/4 2x256 lanes 4 ahead 1 splits 23",
        .decode[PAGES_64] = "portable 128/4 4x256 lanes 4 ahead 1 splits 64",
    },
    {
        .name = "Arc B580",
        .device = bmg,
        .forward[FORWARD_64] = "matrix/shared 64/16 32x64 blocks 1 sums shared",
        .forward[FORWARD_128] = "matrix/shared 64/16 32x32 blocks 1 sums shared",
        .forward[FORWARD_256] = "matrix/shared 32/16 16x16 blocks 1 sums shared",
        .forward[FORWARD_512] = "matrix/shared 32/16 16x16 blocks 1 sums shared band 128",
        .forward[LISTED_128] = "matrix/shared 64/16 32x32 blocks 1 sums shared",
        .forward[ONE_QUERY_128] = "matrix/shared 64/16 32x32 blocks 1 sums shared splits 32",
        .forward[ONE_QUERY_LATENT] = "portable 256/16 32x64 lanes 16 depth 32 values 8 by unit splits 16",
        .queries[GRADIENTS_64] = "portable 256/16 64x48 lanes 16 depth 32 values 48 by unit",
        .queries[GRADIENTS_128] = "portable 256/16 32x64 lanes 16 depth 32 values 16 by unit",
        .queries[GRADIENTS_256] = "portable 256/16 32x64 lanes 16 depth 32 values 8 by unit",
        .keys[GRADIENTS_64] = "portable 256/16 64x32 lanes 16 depth 32 values 32 by unit",
        .keys[GRADIENTS_128] = "portable 256/16 32x32 lanes 16 depth 32 values 16 by unit",
        .keys[GRADIENTS_256] = "portable 256/16 64x32 lanes 16 depth 32 values 16 by unit two passes",
        .decode[CACHE_128] = "portable 128/16 1x256 lanes 8 ahead 2 splits 16",
        .decode[PAGES_64] = "portable 128/16 1x256 lanes 4 ahead 4 splits 16",
    },
    {
        .name = "Panther Lake",
        .device = ptl,
        .forward[FORWARD_64] = "matrix/shared 64/16 32x64 blocks 1 sums shared",
        .forward[FORWARD_128] = "matrix/shared 64/16 32x32 blocks 1 sums shared",
        .forward[FORWARD_256] = "matrix/shared 32/16 16x16 blocks 1 sums shared",
        .forward[FORWARD_512] = "matrix/shared 32/16 16x16 blocks 1 sums shared band 128",
        .forward[LISTED_128] = "matrix/shared 64/16 32x32 blocks 1 sums shared",
        .forward[ONE_QUERY_128] = "matrix/shared 64/16 32x32 blocks 1 sums shared splits 32",
        .forward[ONE_QUERY_LATENT] = "portable 256/16 32x64 lanes 16 depth 32 values 8 by unit splits 16",
        .queries[GRADIENTS_64] = "matrix/shared 128/16 64x16 blocks 1+1 buffers 1",
        .queries[GRADIENTS_128] = "matrix/shared 96/16 48x16 blocks 1+1 buffers 1",
        .queries[GRADIENTS_256] = "portable 256/16 32x64 lanes 16 depth 32 values 8 by unit",
        .keys[GRADIENTS_64] = "matrix/shared 128/16 16x64 blocks 1+1 buffers 1",
        .keys[GRADIENTS_128] = "matrix/shared 128/16 16x64 blocks 1+1 buffers 1 two passes",
        .keys[GRADIENTS_256] = "portable 256/16 64x32 lanes 16 depth 32 values 16 by unit two passes",
        .decode[CACHE_128] = "portable 128/16 1x256 lanes 8 ahead 2 splits 16",
        .decode[PAGES_64] = "portable 128/16 1x256 lanes 4 ahead 4 splits 16",
    },
    {
        .name = "Arc A770",
        .device = dg2,
        .forward[FORWARD_64] = "matrix/shared 64/8 64x16 blocks 1 sums shared",
        .forward[FORWARD_128] = "matrix/shared 32/8 32x16 blocks 1 sums shared",
        .forward[FORWARD_256] = "matrix/shared 16/8 16x16 blocks 1 sums shared",
        .forward[FORWARD_512] = "portable 256/8 32x32 lanes 8 depth 32 values 16 by unit",
        .forward[LISTED_128] = "matrix/shared 32/8 32x16 blocks 1 sums shared",
        .forward[ONE_QUERY_128] = "matrix/shared 32/8 32x16 blocks 1 sums shared splits 64",
        .forward[ONE_QUERY_LATENT] = "portable 256/8 32x32 lanes 8 depth 32 values 16 by unit splits 32",
        .queries[GRADIENTS_64] = "portable 256/8 64x32 lanes 8 depth 16 values 16 by unit",
        .queries[GRADIENTS_128] = "portable 256/8 32x32 lanes 8 depth 32 values 16 by unit",
        .queries[GRADIENTS_256] = "portable 256/8 32x32 lanes 8 depth 16 values 8 by unit",
        .keys[GRADIENTS_64] = "portable 256/8 32x32 lanes 8 depth 16 values 16 by unit",
        .keys[GRADIENTS_128] = "portable 256/8 16x32 lanes 8 depth 16 values 16 by unit",
        .keys[GRADIENTS_256] = "portable 256/8 64x32 lanes 8 depth 16 values 8 by unit two passes",
        .decode[CACHE_128] = "portable 128/8 1x256 lanes 8 ahead 1 splits 16",
        .decode[PAGES_64] = "portable 128/8 1x256 lanes 4 ahead 4 splits 16",
    },
    {
        .name = "Adreno 740",
        .device = adreno740,
        .forward[FORWARD_64] = "portable 128/64 64x32 lanes 8 depth 32 values 16 by unit",
        .forward[FORWARD_128] = "portable 128/64 64x32 lanes 8 depth 32 values 16 by unit",
        .forward[FORWARD_256] = "portable 128/64 32x64 lanes 16 depth 32 values 8 by unit",
        .forward[FORWARD_512] = "portable 128/64 32x64 lanes 16 depth 32 values 8 by unit",
        .forward[LISTED_128] = "portable 128/64 64x32 lanes 8 depth 32 values 16 by unit",
        .forward[ONE_QUERY_128] = "portable 64/64 16x32 lanes 8 depth 32 values 8 by unit splits 32",
        .forward[ONE_QUERY_LATENT] = "portable 128/64 32x64 lanes 16 depth 32 values 8 by unit splits 16",
        .queries[GRADIENTS_64] = "portable 128/64 64x32 lanes 8 depth 32 values 16 by unit",
        .queries[GRADIENTS_128] = "portable 128/64 32x64 lanes 16 depth 32 values 8 by unit",
        .queries[GRADIENTS_256] = "portable 256/64 32x64 lanes 16 depth 32 values 8 by unit",
        .keys[GRADIENTS_64] = "portable 128/64 32x32 lanes 16 depth 32 values 8 by unit",
        .keys[GRADIENTS_128] = "portable 128/64 32x32 lanes 16 depth 32 values 8 by unit",
        .keys[GRADIENTS_256] = "portable 256/64 64x16 lanes 16 depth 32 values 16 by unit",
        .decode[CACHE_128] = "portable 128/64 2x256 lanes 8 ahead 4 splits 23",
        .decode[PAGES_64] = "portable 128/64 4x256 lanes 4 ahead 4 splits 64",
    },
    {
        .name = "M1",
        .device = m1,
        .forward[FORWARD_64] = "portable 256/32 64x32 lanes 8 depth 32 values 32 by unit",
        .forward[FORWARD_128] = "portable 256/32 32x64 lanes 16 depth 32 values 16 by unit",
        .forward[FORWARD_256] = "portable 256/32 32x64 lanes 16 depth 32 values 8 by unit",
        .forward[FORWARD_512] = "portable 256/32 32x64 lanes 16 depth 32 values 8 by unit",
        .forward[LISTED_128] = "portable 256/32 32x64 lanes 16 depth 32 values 16 by unit",
        .forward[ONE_QUERY_128] = "portable 64/32 16x32 lanes 8 depth 32 values 8 by unit splits 32",
        .forward[ONE_QUERY_LATENT] = "portable 256/32 32x64 lanes 16 depth 32 values 8 by unit splits 16",
        .queries[GRADIENTS_64] = "portable 256/32 64x32 lanes 8 depth 32 values 32 by unit",
        .queries[GRADIENTS_128] = "portable 256/32 32x64 lanes 16 depth 32 values 16 by unit",
        .queries[GRADIENTS_256] = "portable 256/32 32x64 lanes 16 depth 32 values 8 by unit",
        .keys[GRADIENTS_64] = "portable 256/32 64x32 lanes 16 depth 32 values 32 by unit",
        .keys[GRADIENTS_128] = "portable 256/32 32x32 lanes 16 depth 32 values 16 by unit",
        .keys[GRADIENTS_256] = "portable 256/32 64x16 lanes 16 depth 32 values 16 by unit",
        .decode[CACHE_128] = "portable 128/32 1x256 lanes 8 ahead 2 splits 16",
        .decode[PAGES_64] = "portable 128/32 1x256 lanes 4 ahead 4 splits 16",
    },
    {
        .name = "RX 7900",
        .device = navi31,
        .forward[FORWARD_64] = "matrix/shared 256/32 128x32 blocks 4",
        .forward[FORWARD_128] = "matrix/shared 256/32 128x32 blocks 6",
        .forward[FORWARD_256] = "matrix/shared 128/32 64x16 blocks 1",
        .forward[FORWARD_512] = "portable 128/32 32x64 lanes 16 depth 32 values 8",
        .forward[LISTED_128] = "matrix/shared 256/32 128x32 blocks 6",
        .forward[ONE_QUERY_128] = "matrix/shared 256/32 128x32 blocks 6 splits 32",
        .forward[ONE_QUERY_LATENT] = "portable 128/32 32x64 lanes 16 depth 32 values 8 splits 16",
        .queries[GRADIENTS_64] = "matrix/shared 128/32 64x16 blocks 1+1 buffers 1",
        .queries[GRADIENTS_128] = "matrix/shared 128/32 64x16 blocks 1+1 buffers 1",
        .queries[GRADIENTS_256] = "portable 128/32 32x64 lanes 16 depth 32 values 8",
        .keys[GRADIENTS_64] = "matrix/shared 128/32 16x64 blocks 1+1 buffers 1",
        .keys[GRADIENTS_128] = "matrix/shared 128/32 16x64 blocks 1+1 buffers 1",
        .keys[GRADIENTS_256] = "portable 128/32 32x32 lanes 16 depth 32 values 8",
        .decode[CACHE_128] = "matrix/shared 256/32 16x64 ahead 8 splits 17",
        .decode[PAGES_64] = "portable 128/32 4x256 lanes 4 ahead 8 splits 64",
    },
    {
        .name = "RX 9070",
        .device = gfx1201,
        .forward[FORWARD_64] = "matrix/shared 256/32 128x32 blocks 4",
        .forward[FORWARD_128] = "matrix/shared 256/32 128x32 blocks 6",
        .forward[FORWARD_256] = "matrix/shared 128/32 64x16 blocks 1",
        .forward[FORWARD_512] = "matrix/shared 96/32 48x16 blocks 8 band 128",
        .forward[LISTED_128] = "matrix/shared 256/32 128x32 blocks 6",
        .forward[ONE_QUERY_128] = "matrix/shared 256/32 128x32 blocks 6 splits 32",
        .forward[ONE_QUERY_LATENT] = "matrix/shared 96/32 48x16 blocks 12 band 128 splits 42",
        .queries[GRADIENTS_64] = "matrix/shared 128/32 64x16 blocks 1+1 buffers 1",
        .queries[GRADIENTS_128] = "matrix/shared 128/32 64x16 blocks 1+1 buffers 1",
        .queries[GRADIENTS_256] = "portable 128/32 32x64 lanes 16 depth 32 values 8",
        .keys[GRADIENTS_64] = "matrix/shared 128/32 16x64 blocks 1+1 buffers 1",
        .keys[GRADIENTS_128] = "matrix/shared 128/32 16x64 blocks 1+1 buffers 1",
        .keys[GRADIENTS_256] = "portable 128/32 32x32 lanes 16 depth 32 values 8",
        .decode[CACHE_128] = "matrix/shared 256/32 16x64 ahead 8 splits 17",
        .decode[PAGES_64] = "portable 128/32 4x256 lanes 4 ahead 8 splits 64",
    },
};

/* ---- the library's choice, as such a text ------------------------------------------------------------------------ */

#define TEXT_SIZE         96
#define APPEND(text, ...) snprintf((text) + strlen(text), TEXT_SIZE - strlen(text), __VA_ARGS__)

static const char *const forms[] = {
    [FORM_PORTABLE] = "", [FORM_SHARED] = "/shared", [FORM_REDUCED] = "/reduced", [FORM_FRAGMENTS] = "/fragments"};

static void describe(const attention_tile *t, bool backward, char text[TEXT_SIZE])
{
    snprintf(text, TEXT_SIZE, "%s%s %u/%u %ux%u", dmattn_level_string(t->level), forms[t->form], t->workgroup,
             t->subgroup_size, t->rows, t->keys);
    if (t->form == FORM_PORTABLE)
        APPEND(text, " lanes %u depth %u values %u", t->key_lanes, t->depth, t->value_keys);
    else
        APPEND(text, " blocks %u", t->query_blocks);
    if (t->form != FORM_PORTABLE && backward)
        APPEND(text, "+%u buffers %u", t->dout_blocks, t->tile_buffers);
    if (t->by_unit)
        APPEND(text, " by unit");
    if (t->two_passes)
        APPEND(text, " two passes");
    if (t->guarded)
        APPEND(text, " guarded");
    if (t->sums_shared)
        APPEND(text, " sums shared");
    if (t->band && t->band != BAND)
        APPEND(text, " band %u", t->band);
    if (t->splits > 1)
        APPEND(text, " splits %u", t->splits);
}

static void describe_step(const decode_tile *t, char text[TEXT_SIZE])
{
    snprintf(text, TEXT_SIZE, "%s%s %u/%u %ux%u", dmattn_level_string(t->level), forms[t->form], t->workgroup,
             t->subgroup_size, t->block_rows, t->block_keys);
    if (t->form == FORM_PORTABLE)
        APPEND(text, " lanes %u", t->key_lanes);
    APPEND(text, " ahead %u splits %u", t->loads_ahead, t->splits);
}

static void expect(const char *device, const char *problem, int number, const char *chosen, const char *written)
{
    cr_expect_str_eq(chosen, written, "%s, %s[%d]: \"%s\" is chosen, but \"%s\" is written", device, problem, number,
                     chosen, written);
}

/* The highest level that has a tile; a plan chooses like this, too. */
#define FIRST_LEVEL(chosen)                                                                  \
    for (dmattn_level level = DMATTN_LEVEL_MATRIX2; level >= DMATTN_LEVEL_PORTABLE; level--) \
        if (chosen)                                                                          \
            break;

static char why[256];
static const messenger silent = {0};

/* A choice looks at no more candidates than it must. It is the first of all. */
static void expect_first(const char *device, const capabilities *caps, const dmattn_attention_desc *d)
{
    attention_tile tile, all[32];
    char chosen[TEXT_SIZE], first[TEXT_SIZE];
    cr_assert(dmattn_tile_choose(caps, d, DMATTN_LEVEL_PORTABLE, &tile, why, sizeof why), "%s", why);
    cr_assert(dmattn_tile_candidates(caps, d, DMATTN_LEVEL_PORTABLE, all, 32, why, sizeof why), "%s", why);
    describe(&tile, false, chosen);
    describe(all, false, first);
    cr_expect_str_eq(chosen, first, "%s: %s is chosen, but %s is first", device, chosen, first);
}

static void expect_forward(const struct choices *c, const capabilities *caps)
{
    for (int i = 0; i < FORWARD_COUNT; i++) {
        dmattn_attention_desc d;
        attention_tile tile = {0};
        char text[TEXT_SIZE];
        cr_assert_eq(dmattn_attention_desc_resolve(&forward[i], &d, &silent), DMATTN_SUCCESS);
        FIRST_LEVEL(dmattn_tile_choose(caps, &d, level, &tile, why, sizeof why))
        describe(&tile, false, text);
        expect(c->name, "forward", i, text, c->forward[i]);
        expect_first(c->name, caps, &d);
    }
}

static void expect_gradients(const struct choices *c, const capabilities *caps)
{
    for (int i = 0; i < GRADIENTS_COUNT; i++) {
        dmattn_attention_backward_desc d;
        backward_tiles tiles = {0};
        char text[TEXT_SIZE];
        cr_assert_eq(dmattn_attention_backward_desc_resolve(&gradients[i], &d, &silent), DMATTN_SUCCESS);
        FIRST_LEVEL(dmattn_backward_tiles_choose(caps, &d, level, &tiles, why, sizeof why))
        describe(&tiles.query, true, text);
        expect(c->name, "queries", i, text, c->queries[i]);
        describe(&tiles.key, true, text);
        expect(c->name, "keys", i, text, c->keys[i]);
    }
}

static void expect_decode(const struct choices *c, const capabilities *caps)
{
    for (int i = 0; i < DECODE_COUNT; i++) {
        dmattn_decode_desc d;
        decode_tile tile = {0};
        char text[TEXT_SIZE];
        cr_assert_eq(dmattn_decode_desc_resolve(&decode[i], &d, &silent), DMATTN_SUCCESS);
        FIRST_LEVEL(dmattn_decode_tile_choose(caps, &d, level, &tile, why, sizeof why))
        describe_step(&tile, text);
        expect(c->name, "decode", i, text, c->decode[i]);
    }
}

Test(choices, typical)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const capabilities caps = table[i].device();
        expect_forward(&table[i], &caps);
        expect_gradients(&table[i], &caps);
        expect_decode(&table[i], &caps);
    }
}

/* Lists that few queries share: the tiles of few rows that compile without spills (docs/notes/compilers.md). */
Test(choices, lists_that_few_share)
{
    static const struct {
        const char *name;
        capabilities (*device)(void);
        uint32_t head_dim, value_dim;
        const char *chosen;
    } rows[] = {
        {"NVK", nvk, 96, 96, "matrix/shared 32/32 16x16 blocks 6"},
        {"NVK", nvk, 128, 128, "matrix/shared 64/32 32x16 blocks 8"},
        {"NVK", nvk, 192, 192, "matrix/shared 64/32 32x16 blocks 8"},
        {"NVK", nvk, 256, 256, "matrix/shared 128/32 64x16 blocks 4"},
        {"navi31", navi31, 128, 128, "matrix/shared 64/32 32x16 blocks 8"},
        {"navi31", navi31, 192, 128, "matrix/shared 64/32 32x16 blocks 8"},
        {"navi31", navi31, 192, 192, "matrix/shared 64/32 32x16 blocks 5"},
        {"gfx1201", gfx1201, 128, 128, "matrix/shared 32/32 16x16 blocks 8"},
        {"gfx1201", gfx1201, 192, 128, "matrix/shared 64/32 32x16 blocks 12"},
        {"gfx1201", gfx1201, 192, 192, "matrix/shared 64/32 32x16 blocks 12"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const capabilities caps = rows[i].device();
        const dmattn_attention_desc desc = {SIZES,
                                            .head_dim = rows[i].head_dim,
                                            .value_dim = rows[i].value_dim,
                                            .causal = true,
                                            .mask = DMATTN_MASK_SELECTED,
                                            .mask_shape = {.heads = 2, .queries = 4096},
                                            .selected_count = 512,
                                            .selected_block = 64,
                                            .selected_queries = 1};
        dmattn_attention_desc d;
        attention_tile tile = {0};
        char text[TEXT_SIZE];
        cr_assert_eq(dmattn_attention_desc_resolve(&desc, &d, &silent), DMATTN_SUCCESS);
        FIRST_LEVEL(dmattn_tile_choose(&caps, &d, level, &tile, why, sizeof why))
        describe(&tile, false, text);
        expect(rows[i].name, "lists that few share", (int)rows[i].head_dim, text, rows[i].chosen);
    }
}
