/* SPDX-License-Identifier: MIT */
#include "tensor.h"

const char *dmattn_tensor_name(tensor_id tensor)
{
#define NAME(id, name) #name,
    static const char *const names[] = {TENSORS(NAME)};
#undef NAME
    return names[tensor];
}

uint32_t dmattn_type_size(dmattn_type type)
{
    return type == DMATTN_TYPE_F32 ? 4 : 2;
}

const char *dmattn_type_string(dmattn_type type)
{
    return type == DMATTN_TYPE_F32 ? "f32" : type == DMATTN_TYPE_F16 ? "f16" : "bf16";
}
