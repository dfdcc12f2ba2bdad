/* SPDX-License-Identifier: MIT
 * Reads tokenizer.json. What it asks for and this app does not have is refused, so that tokens are never wrong. */
#include "data.h"

#include "json_text.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_VALUES = 4000000, MOST_TOKENS = 1 << 22 };

/* ---- the alphabet of bytes --------------------------------------------------------------------------------------- */

/* The file writes each byte as one printable character: those of Latin-1 that are printable as themselves, and the
 * other bytes, in order, as U+0100 and following. */
static int byte_of(uint32_t point)
{
    if ((point > 0x20 && point < 0x7f) || (point > 0xa0 && point < 0x100 && point != 0xad))
        return (int)point;
    if (point < 0x100 || point >= 0x100 + 0x21 + 0x22 + 1)
        return -1;
    const int i = (int)point - 0x100; /* bytes 0x00 to 0x20, 0x7f to 0xa0, 0xad */
    return i < 0x21 ? i : i < 0x21 + 0x22 ? i - 0x21 + 0x7f : 0xad;
}

/* Writes the bytes that a token's characters stand for; `to` has strlen(text) bytes. Returns false if a character
 * stands for none. */
static bool to_bytes(const char *text, char *to, size_t *length)
{
    const size_t end = strlen(text);
    *length = 0;
    for (size_t i = 0, bytes; i < end; i += bytes) {
        uint32_t point;
        if (!words_decode(text + i, end - i, &point, &bytes) || byte_of(point) < 0)
            return false;
        to[(*length)++] = (char)byte_of(point);
    }
    return true;
}

/* ---- parts of the file ------------------------------------------------------------------------------------------- */

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *value = member(object, name);
    return cJSON_IsString(value) ? value->valuestring : "";
}

static bool is_absent(const cJSON *object, const char *name)
{
    const cJSON *value = member(object, name);
    return !value || cJSON_IsNull(value) || cJSON_IsFalse(value) || (cJSON_IsString(value) && !*value->valuestring);
}

static bool token_number(const cJSON *value, uint32_t *token)
{
    if (!cJSON_IsNumber(value) || !(value->valuedouble >= 0 && value->valuedouble < MOST_TOKENS))
        return false;
    *token = (uint32_t)value->valuedouble;
    return (double)*token == value->valuedouble;
}

/* Stores a token, which must not exist yet unless its bytes are the same. */
static bool add_token(tokenizer *t, uint32_t token, const char *data, size_t length, const char *name, char *error)
{
    stored_token *to = &t->tokens[token];
    if (to->data)
        return (to->length == length && !memcmp(to->data, data, length))
               || FAIL("gives the number %u to two tokens, one of them '%.64s'", token, name);
    to->data = malloc(length + 1);
    if (!to->data)
        return NO_MEMORY;
    memcpy(to->data, data, length);
    to->length = length;
    return true;
}

/* Counts the tokens, so that memory for all can be allocated. */
static bool count_tokens(tokenizer *t, const cJSON *vocabulary, const cJSON *added, char *error)
{
    const cJSON *entry;
    uint32_t token;
    cJSON_ArrayForEach(entry, vocabulary)
    {
        if (!token_number(entry, &token))
            return FAIL("has no number below %d for the token '%.64s'", MOST_TOKENS, entry->string);
        t->size = token >= t->size ? token + 1 : t->size;
    }
    cJSON_ArrayForEach(entry, added)
    {
        if (!token_number(member(entry, "id"), &token) || !*text_of(entry, "content"))
            return FAIL("has an added token without a content or a number below %d", MOST_TOKENS);
        t->size = token >= t->size ? token + 1 : t->size;
    }
    if (!t->size)
        return FAIL("has no tokens");
    t->tokens = calloc(t->size, sizeof *t->tokens);
    t->added = calloc((size_t)cJSON_GetArraySize(added) + 1, sizeof *t->added);
    return (t->tokens && t->added && table_create(&t->by_bytes, (size_t)cJSON_GetArraySize(vocabulary))) || NO_MEMORY;
}

static bool read_vocabulary(tokenizer *t, const cJSON *vocabulary, char *error)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, vocabulary)
    {
        const uint32_t token = (uint32_t)entry->valuedouble;
        char *bytes = malloc(strlen(entry->string) + 1);
        size_t length;
        if (!bytes)
            return NO_MEMORY;
        const bool mapped = to_bytes(entry->string, bytes, &length); /* if not, text never contains it */
        const bool ok = mapped ? add_token(t, token, bytes, length, entry->string, error)
                               : add_token(t, token, entry->string, strlen(entry->string), entry->string, error);
        free(bytes);
        if (!ok)
            return false;
        if (!mapped)
            continue;
        uint32_t *place = place_of_bytes(t, t->tokens[token].data, length);
        if (*place)
            return FAIL("has the token '%.64s' twice", entry->string);
        *place = token + 1;
    }
    return true;
}

/* Text is searched for added tokens byte by byte. If they are UTF-8, what is left of the text is UTF-8, too. */
static bool is_utf8(const char *text)
{
    uint32_t point;
    size_t bytes;
    for (size_t left = strlen(text); left; text += bytes, left -= bytes)
        if (!words_decode(text, left, &point, &bytes))
            return false;
    return true;
}

static bool read_added(tokenizer *t, const cJSON *added, char *error)
{
    static const char *const options[] = {"single_word", "lstrip", "rstrip"};
    const cJSON *entry;
    cJSON_ArrayForEach(entry, added)
    {
        const char *content = text_of(entry, "content");
        for (int i = 0; i < 3; i++)
            if (!is_absent(entry, options[i]))
                return FAIL("sets %s for the token '%.64s', which is not supported", options[i], content);
        if (!is_utf8(content))
            return FAIL("has an added token that is not UTF-8");
        const uint32_t token = (uint32_t)member(entry, "id")->valuedouble;
        if (!add_token(t, token, content, strlen(content), content, error))
            return false;
        t->added[t->added_count++] = token;
    }
    return true;
}

/* A merge is "left right" or ["left", "right"]. */
static bool read_merge(tokenizer *t, const cJSON *entry, char *left, char *right, char *error)
{
    if (cJSON_IsString(entry)) {
        const char *gap = strchr(entry->valuestring, ' ');
        if (!gap)
            return FAIL("has the merge '%.64s', which is not a pair", entry->valuestring);
        memcpy(left, entry->valuestring, (size_t)(gap - entry->valuestring));
        left[gap - entry->valuestring] = 0;
        strcpy(right, gap + 1);
    } else {
        const cJSON *first = cJSON_IsArray(entry) ? entry->child : NULL, *second = first ? first->next : NULL;
        if (!cJSON_IsString(first) || !cJSON_IsString(second) || second->next)
            return FAIL("has a merge that is not a pair of tokens");
        strcpy(left, first->valuestring);
        strcpy(right, second->valuestring);
    }
    size_t left_length, right_length;
    if (!to_bytes(left, left, &left_length) || !to_bytes(right, right, &right_length))
        return FAIL("has a merge with a character that stands for no byte");
    merge *m = &t->merges[t->merge_count];
    m->left = find_token(t, left, left_length);
    m->right = find_token(t, right, right_length);
    memcpy(left + left_length, right, right_length);
    m->merged = find_token(t, left, left_length + right_length);
    if (m->left == NONE || m->right == NONE || m->merged == NONE)
        return FAIL("merges a pair (number %u) that is not in the vocabulary", t->merge_count);
    *place_of_pair(t, m->left, m->right) = ++t->merge_count;
    return true;
}

static size_t merge_length(const cJSON *entry)
{
    size_t length = cJSON_IsString(entry) ? strlen(entry->valuestring) : 0;
    for (const cJSON *part = cJSON_IsArray(entry) ? entry->child : NULL; part; part = part->next)
        length += cJSON_IsString(part) ? strlen(part->valuestring) : 0;
    return length;
}

static bool read_merges(tokenizer *t, const cJSON *merges, char *error)
{
    const cJSON *entry;
    size_t longest = 0;
    cJSON_ArrayForEach(entry, merges)
    {
        const size_t length = merge_length(entry);
        longest = length > longest ? length : longest;
    }
    const size_t count = (size_t)cJSON_GetArraySize(merges);
    char *left = malloc(2 * longest + 2), *right = malloc(longest + 1);
    t->merges = calloc(count + 1, sizeof *t->merges);
    bool ok = (left && right && t->merges && table_create(&t->by_pair, count)) || NO_MEMORY;
    cJSON_ArrayForEach(entry, merges)
    {
        ok = ok && read_merge(t, entry, left, right, error);
    }
    free(left);
    free(right);
    return ok;
}

static bool read_model(tokenizer *t, const cJSON *model, const cJSON *added, char *error)
{
    static const char *const options[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix",
                                          "byte_fallback"};
    const cJSON *vocabulary = member(model, "vocab"), *merges = member(model, "merges");
    if (strcmp(text_of(model, "type"), "BPE") || !cJSON_IsObject(vocabulary) || !cJSON_IsArray(merges))
        return FAIL("has no model of the type BPE with a vocab and merges");
    for (int i = 0; i < 4; i++)
        if (!is_absent(model, options[i]))
            return FAIL("sets %s of its model, which is not supported", options[i]);
    if (added && !cJSON_IsArray(added) && !cJSON_IsNull(added))
        return FAIL("has added_tokens that are not an array");
    t->whole_words = cJSON_IsTrue(member(model, "ignore_merges"));
    return count_tokens(t, vocabulary, added, error) && read_vocabulary(t, vocabulary, error)
           && read_merges(t, merges, error) && read_added(t, added, error);
}

static bool add_pattern(tokenizer *t, word_pattern pattern, char *error)
{
    if (t->pattern_count == MOST_PATTERNS)
        return FAIL("splits text by more than %d patterns", MOST_PATTERNS);
    t->patterns[t->pattern_count++] = pattern;
    return true;
}

/* Sets *bytes if this is the part that turns text into bytes, which must come last. */
static bool read_splitter(tokenizer *t, const cJSON *part, bool *bytes, char *error)
{
    const char *type = text_of(part, "type"), *expression = text_of(member(part, "pattern"), "Regex");
    const bool removed = !strcmp(text_of(part, "behavior"), "Removed"), invert = cJSON_IsTrue(member(part, "invert"));
    const bool isolated = !strcmp(text_of(part, "behavior"), "Isolated");
    word_pattern pattern;
    if (*bytes)
        return FAIL("has a pre_tokenizer '%.32s' after ByteLevel, which is not supported", type);
    if (!strcmp(type, "ByteLevel")) {
        *bytes = true;
        if (!is_absent(part, "add_prefix_space"))
            return FAIL("sets add_prefix_space, which is not supported");
        const cJSON *use_regex = member(part, "use_regex");
        return cJSON_IsFalse(use_regex) || add_pattern(t, WORDS_GPT2, error);
    }
    if (!strcmp(type, "Digits"))
        return add_pattern(t, is_absent(part, "individual_digits") ? WORDS_DIGITS : WORDS_DIGITS_ALONE, error);
    if (strcmp(type, "Split"))
        return FAIL("has the pre_tokenizer '%.32s', which is not supported", type);
    if (!words_find_pattern(expression, &pattern) || (!(isolated && !invert) && !(removed && invert)))
        return FAIL("splits text by a pattern that is not supported: '%.128s'", expression);
    return add_pattern(t, pattern, error);
}

#define NOT_BYTES FAIL("has no pre_tokenizer ByteLevel: it is not a byte-level tokenizer")

static bool read_splitters(tokenizer *t, const cJSON *from, char *error)
{
    const cJSON *part;
    bool bytes = false;
    if (strcmp(text_of(from, "type"), "Sequence"))
        return cJSON_IsObject(from) ? read_splitter(t, from, &bytes, error) && (bytes || NOT_BYTES) : NOT_BYTES;
    cJSON_ArrayForEach(part, member(from, "pretokenizers"))
    {
        if (!read_splitter(t, part, &bytes, error))
            return false;
    }
    return bytes || NOT_BYTES;
}

/* Adds the tokens of a template's part to those before or after the text. */
static bool read_special(tokenizer *t, const cJSON *special, const cJSON *ids, bool after, char *error)
{
    const cJSON *list = member(member(ids, text_of(special, "id")), "ids"), *id;
    uint32_t *count = after ? &t->after_count : &t->before_count, *to = after ? t->after : t->before;
    cJSON_ArrayForEach(id, list)
    {
        if (*count == MOST_AROUND)
            return FAIL("puts more than %d tokens before or after a text", MOST_AROUND);
        uint32_t token;
        if (!token_number(id, &token) || token >= t->size || !t->tokens[token].data)
            return FAIL("has a template with a token that does not exist");
        to[(*count)++] = token;
    }
    return true;
}

static bool read_template(tokenizer *t, const cJSON *from, char *error)
{
    const char *type = text_of(from, "type");
    const cJSON *part;
    if (!from || cJSON_IsNull(from) || !strcmp(type, "ByteLevel"))
        return true;
    if (!strcmp(type, "Sequence")) {
        cJSON_ArrayForEach(part, member(from, "processors"))
        {
            if (!strcmp(text_of(part, "type"), "Sequence"))
                return FAIL("has a post_processor within another one's Sequence");
            if (!read_template(t, part, error))
                return false;
        }
        return true;
    }
    if (strcmp(type, "TemplateProcessing") || t->before_count || t->after_count)
        return FAIL("has the post_processor '%.32s', which is not supported", type);
    bool after = false;
    cJSON_ArrayForEach(part, member(from, "single"))
    {
        const cJSON *special = member(part, "SpecialToken");
        if (special && !read_special(t, special, member(from, "special_tokens"), after, error))
            return false;
        after = after || !special;
    }
    return true;
}

static bool read_all(tokenizer *t, const cJSON *root, char *error)
{
    const char *normalizer = text_of(member(root, "normalizer"), "type");
    if (!is_absent(root, "normalizer") && strcmp(normalizer, "NFC"))
        return FAIL("has the normalizer '%.32s', which is not supported", normalizer);
    t->normalises = !is_absent(root, "normalizer");
    return read_model(t, member(root, "model"), member(root, "added_tokens"), error)
           && read_splitters(t, member(root, "pre_tokenizer"), error)
           && read_template(t, member(root, "post_processor"), error);
}

tokenizer *tokenizer_parse(const char *text, size_t length, char *error)
{
    cJSON *root;
    const char *end;
    tokenizer *t = calloc(1, sizeof *t);
    bool ok = t || NO_MEMORY;
    if (ok)
        switch (json_parse(text, length, " \t\r\n", MOST_VALUES, &root, &end)) {
        case JSON_FINE:
            ok = read_all(t, root, error);
            cJSON_Delete(root);
            break;
        case JSON_INVALID: ok = FAIL("is not valid JSON"); break;
        case JSON_NUL: ok = FAIL("has a NUL character in it"); break;
        case JSON_TOO_MANY: ok = FAIL("has more than %d JSON values", MOST_VALUES); break;
        case JSON_NO_MEMORY: ok = NO_MEMORY; break;
        }
    if (!ok) {
        tokenizer_free(t);
        return NULL;
    }
    return t;
}

void tokenizer_free(tokenizer *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; t->tokens && i < t->size; i++)
        free(t->tokens[i].data);
    free(t->tokens);
    free(t->by_bytes.entries);
    free(t->merges);
    free(t->by_pair.entries);
    free(t->added);
    free(t);
}
