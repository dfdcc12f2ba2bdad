/* SPDX-License-Identifier: MIT */
#include "format.h"

#include "../shape.h"

#include "../../shaders/lib/shared.h"

static const struct {
    const char *name;
    uint32_t block, bytes; /* elements of a block, and its bytes */
} formats[FORMAT_COUNT] = {
    [DMATTN_FORMAT_TYPE] = {"type", 1, 0}, /* its bytes are those of the type */
    [DMATTN_FORMAT_F32] = {"f32", 1, 4},
    [DMATTN_FORMAT_F16] = {"f16", 1, 2},
    [DMATTN_FORMAT_BF16] = {"bf16", 1, 2},
    [DMATTN_FORMAT_INT8] = {"int8", 1, 1},
    [DMATTN_FORMAT_E4M3] = {"e4m3", 1, 1},
    [DMATTN_FORMAT_Q8_0] = {"q8_0", FORMAT_BLOCK, Q8_0_BYTES},
    [DMATTN_FORMAT_Q4_0] = {"q4_0", FORMAT_BLOCK, Q4_0_BYTES},
};

dmattn_status dmattn_check_format(const messenger *m, const char *name, dmattn_format format)
{
    if ((unsigned)format >= FORMAT_COUNT)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s %d is not a dmattn_format", name, (int)format);
    return DMATTN_SUCCESS;
}

dmattn_format dmattn_format_of(dmattn_format format, dmattn_type type)
{
    return format ? format : (dmattn_format)(type + FORMAT_F32);
}

bool dmattn_format_is_type(dmattn_format format, dmattn_type type)
{
    return format == dmattn_format_of(DMATTN_FORMAT_TYPE, type);
}

bool dmattn_format_has_scales(dmattn_format format)
{
    return format == DMATTN_FORMAT_INT8 || format == DMATTN_FORMAT_E4M3;
}

uint32_t dmattn_format_block(dmattn_format format)
{
    return formats[format].block;
}

uint32_t dmattn_format_block_bytes(dmattn_format format)
{
    return formats[format].bytes;
}

uint64_t dmattn_format_bytes(dmattn_format format, uint64_t elements)
{
    return dmattn_product(elements / formats[format].block, formats[format].bytes);
}

uint32_t dmattn_format_alignment(dmattn_format format)
{
    return formats[format].block > 1 ? 2 : formats[format].bytes;
}

const char *dmattn_format_string(dmattn_format format)
{
    return formats[format].name;
}
