/* SPDX-License-Identifier: MIT */
#include "tensor.h"

const char *dmattn_tensor_name(tensor_id tensor)
{
    static const char *const names[TENSOR_COUNT] = {
        "q",     "k",         "v",      "out",     "lse",       "mask",          "begin",       "end",
        "bias",  "dt_weight", "a",      "dt_bias", "key_valid", "query_offsets", "key_offsets", "importance",
        "lists", "dout",      "dq",     "dk",      "dv",        "dbias",         "dimportance", "ddt_weight",
        "da",    "ddt_bias",  "counts", "keep",    "state",     "pages",         "table"};
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
