/* SPDX-License-Identifier: MIT
 *
 * A strict reader and a writer of the .safetensors format.
 *
 *     8 bytes    length of the header, little-endian
 *     header     JSON: {"__metadata__": {name: text}, name: {"dtype": …, "shape": […], "data_offsets": [begin, end]}}
 *     data       the tensors, little-endian, without gaps or overlaps; offsets count from here
 *
 * The reader accepts a file only if every byte of it has a meaning. The file may contain any bytes. */
#ifndef DMATTN_TOOLS_SAFETENSORS_H
#define DMATTN_TOOLS_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum safetensors_type {
    SAFETENSORS_F64,
    SAFETENSORS_F32,
    SAFETENSORS_F16,
    SAFETENSORS_BF16,
    SAFETENSORS_F8_E5M2,
    SAFETENSORS_F8_E4M3,
    SAFETENSORS_I64,
    SAFETENSORS_I32,
    SAFETENSORS_I16,
    SAFETENSORS_I8,
    SAFETENSORS_U64,
    SAFETENSORS_U32,
    SAFETENSORS_U16,
    SAFETENSORS_U8,
    SAFETENSORS_BOOL,
    SAFETENSORS_TYPE_COUNT
} safetensors_type;

#define SAFETENSORS_MAX_RANK   8
#define SAFETENSORS_MAX_HEADER 100000000 /* bytes; the limit of the format's own reader */
#define SAFETENSORS_MAX_VALUES 1000000   /* in the JSON of the header; a tensor has about 10 */
#define SAFETENSORS_ERROR_SIZE 256       /* of the buffers for messages */

typedef struct safetensors_tensor {
    const char *name;
    safetensors_type type;
    uint32_t rank;
    uint64_t shape[SAFETENSORS_MAX_RANK];
    uint64_t offset, bytes; /* in the data section; the writer ignores them */
    void *data;             /* aligned for its type; never NULL after reading */
} safetensors_tensor;

typedef struct safetensors_pair {
    const char *name;
    const char *value;
} safetensors_pair;

typedef struct safetensors_file {
    safetensors_tensor *tensors;
    size_t tensor_count;
    safetensors_pair *metadata;
    size_t metadata_count;
    void *header; /* owns the strings; set by the reader */
} safetensors_file;

typedef enum safetensors_status {
    SAFETENSORS_OK = 0,
    SAFETENSORS_BAD_FILE, /* cannot be read, or breaks the format */
    SAFETENSORS_FAILED    /* out of memory, or cannot be written */
} safetensors_status;

/* Reads a whole file. On failure *file is empty, and `error`, of SAFETENSORS_ERROR_SIZE bytes, holds a message that
 * continues the file name, such as "cannot be opened: ...". Text in it from the file may contain control characters. */
safetensors_status safetensors_read(const char *path, safetensors_file *file, char *error);

/* Frees what safetensors_read() allocated and empties *file, which may be empty already. */
void safetensors_free(safetensors_file *file);

/* Writes tensors and metadata to a temporary file, then renames it to `path`. After a failure `path` is unchanged. Does
 * not replace anything but a regular file. */
safetensors_status safetensors_write(const char *path, const safetensors_file *file, char *error);

/* These return NULL if there is no such name. */
const safetensors_tensor *safetensors_find(const safetensors_file *file, const char *name);
const char *safetensors_metadata(const safetensors_file *file, const char *name);

/* Such as "F32". */
const char *safetensors_type_name(safetensors_type type);

/* The size of a tensor with this type and shape, in bytes. Returns false if it overflows. */
bool safetensors_bytes(const safetensors_tensor *tensor, uint64_t *bytes);

#endif
