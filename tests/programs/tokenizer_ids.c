/* SPDX-License-Identifier: MIT
 * tokenizer_ids TOKENIZER.json: for each line of stdin, which is text in hexadecimal digits, prints its tokens and,
 * after a bar, the bytes of these tokens. For test_tokenizer.py. */
#include "../../tools/examples/tokenizer/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    const size_t room = 1 << 20;
    char *text = calloc(1, room);
    if (!file || !text)
        exit(3);
    *length = fread(text, 1, room - 1, file);
    fclose(file);
    return text;
}

int main(int argc, char **argv)
{
    static char line[1 << 16], text[1 << 15];
    char error[TOKENIZER_ERROR_SIZE];
    size_t length;
    if (argc != 2)
        return 3;
    char *json = read_file(argv[1], &length);
    tokenizer *t = tokenizer_parse(json, length, error);
    free(json);
    if (!t) {
        printf("%s\n", error);
        return 2;
    }
    while (fgets(line, sizeof line, stdin)) {
        size_t bytes = 0, count;
        for (const char *digits = line; sscanf(digits, "%2hhx", (unsigned char *)&text[bytes]) == 1; digits += 2)
            bytes++;
        text[bytes] = 0;
        uint32_t *tokens;
        if (!tokenizer_encode(t, text, &tokens, &count, error)) {
            printf("%s\n", error);
            continue;
        }
        for (size_t i = 0; i < count; i++)
            printf("%u ", tokens[i]);
        printf("|");
        for (size_t i = 0; i < count; i++) {
            const token_bytes b = tokenizer_decode(t, tokens[i]);
            for (size_t j = 0; j < b.length; j++)
                printf("%02x", (unsigned char)b.data[j]);
        }
        printf("\n");
        free(tokens);
    }
    tokenizer_free(t);
    return 0;
}
