/* SPDX-License-Identifier: MIT
 * Files with the shapes of models. */
#include "fuzz.h"

#include "cases/shapes.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static shape_list shapes;
    char why[SHAPES_WHY_SIZE];
    memset(why, 1, sizeof why);
    uint8_t *text = malloc(size ? size : 1); /* without a terminating 0 */
    FUZZ_CHECK(text);
    memcpy(text, data, size);
    const bool ok = shapes_parse((const char *)text, size, &shapes, why);
    free(text);
    FUZZ_CHECK(ok || fuzz_is_sentence(why, sizeof why));
    for (uint32_t i = 0; ok && i < shapes.count; i++) {
        const model_shape *m = &shapes.model[i];
        FUZZ_CHECK(fuzz_is_sentence(m->name, sizeof m->name) && m->head_dim && m->value_dim);
        FUZZ_CHECK(m->kv_heads && m->heads % m->kv_heads == 0);
        FUZZ_CHECK(shapes_find(&shapes, m->name, strlen(m->name)) == m);
    }
    return 0;
}
