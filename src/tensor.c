/* SPDX-License-Identifier: MIT */
#include "tensor.h"

#include "../shaders/lib/shared.h"

const char *dmattn_tensor_name(tensor_id tensor)
{
#define NAME(id, name) #name,
    static const char *const names[] = {TENSORS(NAME)};
#undef NAME
    return names[tensor];
}

static const struct {
    const char *name;
    uint32_t size;
} types[TYPE_COUNT] = {
    [DMATTN_TYPE_F32] = {"f32", 4}, [DMATTN_TYPE_F16] = {"f16", 2}, [DMATTN_TYPE_BF16] = {"bf16", 2}};

uint32_t dmattn_type_size(dmattn_type type)
{
    return types[type].size;
}

const char *dmattn_type_string(dmattn_type type)
{
    return types[type].name;
}
