/* SPDX-License-Identifier: MIT */
#include "pretrained.h"

#include "json_text.h"
#include "vulkan/die.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 256 << 20, MOST_VALUES = 1000000, MOST_FILES = 1024, PATH_SIZE = 4096 };

#define FAIL(...) (snprintf(error, TOKENIZER_ERROR_SIZE, __VA_ARGS__), false)
#define NO_MEMORY FAIL("does not fit in memory")

static bool parse(const char *text, size_t length, cJSON **root, char *error)
{
    const char *end;
    switch (json_parse(text, length, " \t\r\n", MOST_VALUES, root, &end)) {
    case JSON_FINE: return cJSON_IsObject(*root) || FAIL("is not a JSON object");
    case JSON_INVALID: return FAIL("is not valid JSON");
    case JSON_NUL: return FAIL("has a NUL character in it");
    case JSON_TOO_MANY: return FAIL("has more than %d JSON values", MOST_VALUES);
    default: return NO_MEMORY;
    }
}

/* ---- config.json ------------------------------------------------------------------------------------------------- */

static const cJSON *member(const cJSON *object, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNull(value) ? NULL : value;
}

/* A number above 0 and below `limit`, or `otherwise` if it is missing. */
static bool positive(const cJSON *object, const char *name, double otherwise, double limit, double *number, char *error)
{
    const cJSON *value = member(object, name);
    *number = value ? value->valuedouble : otherwise;
    return (!value || (cJSON_IsNumber(value) && *number > 0 && *number < limit))
           || FAIL("has a %s that is not a number above 0 and below %g", name, limit);
}

static bool read_ends(const cJSON *root, model_config *c, char *error)
{
    const cJSON *value = member(root, "eos_token_id"), *end = cJSON_IsArray(value) ? value->child : value;
    for (; end; end = end == value ? NULL : end->next) {
        if (!cJSON_IsNumber(end) || !(end->valuedouble >= 0 && end->valuedouble < 1 << 30))
            return FAIL("has an eos_token_id that is not a token");
        if (c->end_count == sizeof c->ends / sizeof *c->ends)
            return FAIL("has more than %zu eos_token_id", sizeof c->ends / sizeof *c->ends);
        c->ends[c->end_count++] = (uint32_t)end->valuedouble;
    }
    return true;
}

static bool read_config(const cJSON *root, model_config *c, char *error)
{
    /* What would change results and is not supported. */
    static const char *const off[] = {"is_moe", "attention_bias", "mlp_bias", "sliding_window"};
    const cJSON *type = member(root, "model_type"), *act = member(root, "hidden_act");
    const cJSON *rope =
        member(root, "rope_parameters") ? member(root, "rope_parameters") : member(root, "rope_scaling");
    const cJSON *rope_type = member(rope, "rope_type") ? member(rope, "rope_type") : member(rope, "type");
    double window, epsilon, positions, original;
    if (!cJSON_IsString(type) || strcmp(type->valuestring, "doge"))
        return FAIL("has no model_type 'doge': only models of this kind are supported");
    if (act && (!cJSON_IsString(act) || strcmp(act->valuestring, "silu")))
        return FAIL("has a hidden_act that is not 'silu'");
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (member(root, off[i]) && !cJSON_IsFalse(member(root, off[i])))
            return FAIL("sets %s, which is not supported", off[i]);
    /* The rotation of the type dynamic is the default one up to max_position_embeddings. */
    const bool dynamic = cJSON_IsString(rope_type) && !strcmp(rope_type->valuestring, "dynamic");
    if (rope_type && !dynamic && (!cJSON_IsString(rope_type) || strcmp(rope_type->valuestring, "default")))
        return FAIL("has a rope_type that is neither 'default' nor 'dynamic'");
    if (!positive(root, "keep_window_size", 2048, 1 << 30, &window, error)
        || !positive(root, "max_position_embeddings", 2048, 1 << 30, &positions, error)
        || !positive(rope, "original_max_position_embeddings", positions, 1 << 30, &original, error)
        || !positive(root, "rms_norm_eps", 1e-6, 1, &epsilon, error)
        || !positive(member(rope, "rope_theta") ? rope : root, "rope_theta", 10000, 1e30, &c->rope_theta, error))
        return false;
    c->window = (uint32_t)window;
    c->most_positions = dynamic ? (uint32_t)(original < positions ? original : positions) : UINT32_MAX;
    c->epsilon = (float)epsilon;
    return (c->window || FAIL("has a keep_window_size below 1")) && read_ends(root, c, error);
}

bool pretrained_parse_config(const char *text, size_t length, model_config *config, char *error)
{
    cJSON *root = NULL;
    *config = (model_config){0};
    const bool ok = parse(text, length, &root, error) && read_config(root, config, error);
    cJSON_Delete(root);
    return ok;
}

/* ---- model.safetensors.index.json -------------------------------------------------------------------------------- */

/* Adds a file unless it is there. Returns its number, or MOST_FILES if there is no room. */
static size_t file_number(shard_index *index, const char *name)
{
    for (size_t i = 0; i < index->file_count; i++)
        if (!strcmp(index->files[i], name))
            return i;
    if (index->file_count < MOST_FILES)
        index->files[index->file_count++] = name;
    else
        return MOST_FILES;
    return index->file_count - 1;
}

bool pretrained_parse_index(const char *text, size_t length, shard_index *index, char *error)
{
    cJSON *root = NULL;
    *index = (shard_index){0};
    const bool parsed = parse(text, length, &root, error);
    index->json = root;
    if (!parsed)
        return false;
    const cJSON *map = member(root, "weight_map"), *entry;
    if (!cJSON_IsObject(map) || !map->child)
        return FAIL("has no weight_map, or an empty one");
    index->files = calloc(MOST_FILES, sizeof *index->files);
    index->entries = calloc((size_t)cJSON_GetArraySize(map), sizeof *index->entries);
    if (!index->files || !index->entries)
        return NO_MEMORY;
    cJSON_ArrayForEach(entry, map)
    {
        const char *name = cJSON_IsString(entry) ? entry->valuestring : "";
        if (!*name || strpbrk(name, "/\\:"))
            return FAIL("does not name a file of its folder for the tensor '%.64s'", entry->string);
        const size_t file = file_number(index, name);
        if (file == MOST_FILES)
            return FAIL("names more than %d files", MOST_FILES);
        index->entries[index->entry_count++] = (struct shard_entry){entry->string, file};
    }
    return true;
}

void pretrained_free_index(shard_index *index)
{
    free(index->files);
    free(index->entries);
    cJSON_Delete(index->json);
    *index = (shard_index){0};
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void join(char *path, const char *folder, const char *name)
{
    if (snprintf(path, PATH_SIZE, "%s/%s", folder, name) >= PATH_SIZE)
        refuse("the name of the folder is too long: %.64s...", folder);
}

/* Reads a file of text with a 0 after it. Returns NULL if there is no such file. The caller frees it. */
static char *read_text(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (!file && (errno == ENOENT || errno == ENOTDIR))
        return NULL;
    if (!file)
        refuse("%s cannot be opened: %s", path, strerror(errno));
    size_t room = 1 << 16;
    char *text = malloc(room);
    *length = 0;
    for (size_t got; text && (got = fread(text + *length, 1, room - *length - 1, file));) {
        *length += got;
        if (*length > MOST_BYTES)
            refuse("%s has more than %d bytes", path, MOST_BYTES);
        if (room - *length == 1) {
            char *more = realloc(text, room *= 2);
            if (!more)
                free(text);
            text = more;
        }
    }
    if (!text)
        die("%s does not fit in memory", path);
    if (ferror(file))
        refuse("%s cannot be read: %s", path, strerror(errno));
    fclose(file);
    text[*length] = 0;
    return text;
}

static void read_weights_file(const char *path, safetensors_file *file)
{
    char error[SAFETENSORS_ERROR_SIZE];
    const safetensors_status status = safetensors_read(path, file, error);
    if (status == SAFETENSORS_FAILED)
        die("%s: %s", path, error);
    if (status)
        refuse("%s: %s", path, error);
}

static weights read_shards(const char *folder, const char *index_path, const shard_index *index)
{
    char path[PATH_SIZE];
    safetensors_file *files = calloc(index->file_count, sizeof *files);
    size_t tensors = 0;
    if (!files)
        die("no host memory");
    for (size_t i = 0; i < index->file_count; i++) {
        join(path, folder, index->files[i]);
        read_weights_file(path, &files[i]);
        tensors += files[i].tensor_count;
    }
    for (size_t i = 0; i < index->entry_count; i++)
        if (!safetensors_find(&files[index->entries[i].file], index->entries[i].tensor))
            refuse("%s says that the tensor '%.96s' is in %.96s, but it is not", index_path, index->entries[i].tensor,
                   index->files[index->entries[i].file]);
    if (tensors != index->entry_count)
        refuse("%s names %zu tensors, but its files have %zu", index_path, index->entry_count, tensors);
    const weights w = weights_from_files(files, index->file_count);
    for (size_t i = 0; i < index->file_count; i++)
        safetensors_free(&files[i]);
    free(files);
    return w;
}

static weights read_file(const char *path)
{
    safetensors_file file;
    read_weights_file(path, &file);
    const weights w = weights_from_files(&file, 1);
    safetensors_free(&file);
    return w;
}

static weights read_folder(const char *folder)
{
    char path[PATH_SIZE], error[TOKENIZER_ERROR_SIZE];
    size_t length;
    join(path, folder, "model.safetensors.index.json");
    char *text = read_text(path, &length);
    if (!text) {
        join(path, folder, "model.safetensors");
        return read_file(path);
    }
    shard_index index;
    if (!pretrained_parse_index(text, length, &index, error))
        refuse("%s %s", path, error);
    const weights w = read_shards(folder, path, &index);
    pretrained_free_index(&index);
    free(text);
    return w;
}

static tokenizer *read_tokenizer(const char *folder, uint32_t vocabulary)
{
    char path[PATH_SIZE], error[TOKENIZER_ERROR_SIZE];
    size_t length;
    join(path, folder, "tokenizer.json");
    char *text = read_text(path, &length);
    if (!text && vocabulary != 256)
        refuse("%s does not exist, and the model has %u tokens, not one for each byte", path, vocabulary);
    if (!text)
        return NULL;
    tokenizer *t = tokenizer_parse(text, length, error);
    if (!t)
        refuse("%s %s", path, error);
    if (tokenizer_size(t) > vocabulary)
        refuse("%s has %u tokens, but the model has %u", path, tokenizer_size(t), vocabulary);
    free(text);
    return t;
}

pretrained pretrained_read(const char *path)
{
    char config_path[PATH_SIZE], error[TOKENIZER_ERROR_SIZE];
    size_t length;
    pretrained p = {0};
    join(config_path, path, "config.json");
    char *text = read_text(config_path, &length);
    if (!text) {
        p.weights = read_file(path);
        if (p.weights.shape.vocabulary != 256)
            refuse("%s has %u tokens, not one for each byte; give its folder, which has a tokenizer.json", path,
                   p.weights.shape.vocabulary);
        return p;
    }
    if (!pretrained_parse_config(text, length, &p.config, error))
        refuse("%s %s", config_path, error);
    free(text);
    p.weights = read_folder(path);
    p.weights.epsilon = p.config.epsilon;
    p.weights.rope_theta = p.config.rope_theta;
    p.tokenizer = read_tokenizer(path, p.weights.shape.vocabulary);
    return p;
}

void pretrained_free(pretrained *p)
{
    weights_free(&p->weights);
    tokenizer_free(p->tokenizer);
    *p = (pretrained){0};
}
