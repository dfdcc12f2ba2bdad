/* SPDX-License-Identifier: MIT
 * The JSON files of a model for the example app: config.json, model.safetensors.index.json and tokenizer.json. */
#include "fuzz.h"

#include "../../tools/examples/model/pretrained.h"

#include <stdlib.h>
#include <string.h>

static void use_tokenizer(const tokenizer *t)
{
    static const char *const texts[] = {"the keys  that it's\n\n 12345 seen", "\xc3\xb6 th<s>\t\xe6\x9d\xb1", ""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char error[TOKENIZER_ERROR_SIZE] = "";
        uint32_t *tokens;
        size_t count;
        if (!tokenizer_encode(t, texts[i], &tokens, &count, error)) {
            FUZZ_CHECK(fuzz_is_sentence(error, sizeof error));
            continue;
        }
        volatile size_t length = 0;
        for (size_t n = 0; n < count; n++) {
            FUZZ_CHECK(tokens[n] < tokenizer_size(t));
            length = length + tokenizer_decode(t, tokens[n]).length;
        }
        free(tokens);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[TOKENIZER_ERROR_SIZE] = "", *text = fuzz_text(data, size);
    model_config config;
    if (!pretrained_parse_config(text, size, &config, error))
        FUZZ_CHECK(fuzz_is_sentence(error, sizeof error));
    else
        FUZZ_CHECK(config.window && config.epsilon >= 0 && config.rope_theta > 0);
    shard_index index;
    memset(error, 0, sizeof error);
    if (!pretrained_parse_index(text, size, &index, error))
        FUZZ_CHECK(fuzz_is_sentence(error, sizeof error));
    for (size_t i = 0; i < index.entry_count; i++)
        FUZZ_CHECK(index.entries[i].file < index.file_count && *index.files[index.entries[i].file]);
    pretrained_free_index(&index);
    memset(error, 0, sizeof error);
    tokenizer *t = tokenizer_parse(text, size, error);
    if (t)
        use_tokenizer(t);
    else
        FUZZ_CHECK(fuzz_is_sentence(error, sizeof error));
    tokenizer_free(t);
    free(text);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
    (void)seed;
    return LLVMFuzzerMutate(data, size, most);
}
