/* SPDX-License-Identifier: MIT
 * The reader and writer of .safetensors files: they preserve contents, and the reader rejects malformed files. */
#define _POSIX_C_SOURCE 200809L
#include "case_file.h"
#include "support/sentences.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(_WIN32)
#define mkdir(path, mode) mkdir(path)
#else
#include <signal.h>
#include <sys/resource.h>
#endif

/* ---- a folder for each test in the working directory ------------------------------------------------------------ */

static char folder[32], path[64];

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "safetensors-%ld", (long)getpid());
    snprintf(path, sizeof path, "%s/case", folder);
    cr_assert_eq(mkdir(folder, 0700), 0);
}

static void remove_folder(void)
{
    remove(path);
    rmdir(folder);
}

TestSuite(safetensors, .init = make_folder, .fini = remove_folder);

static int files_in_folder(void)
{
    int count = 0;
    DIR *directory = opendir(folder);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count - 2; /* . and .. */
}

static void write_bytes(const void *bytes, size_t size)
{
    /* ext4 flushes a file that is truncated and rewritten; a new file is 20 times faster. */
    remove(path);
    FILE *stream = fopen(path, "wb");
    cr_assert(stream && fwrite(bytes, 1, size, stream) == size && !fclose(stream));
}

static size_t read_bytes(unsigned char *bytes, size_t size)
{
    FILE *stream = fopen(path, "rb");
    cr_assert_not_null(stream);
    size_t read = fread(bytes, 1, size, stream);
    fclose(stream);
    return read;
}

/* Writes a file with this header, the length `claimed` for it, and `data_size` bytes of data. */
static void write_file(const char *header, uint64_t claimed, size_t data_size)
{
    size_t length = strlen(header), size = 8 + length + data_size;
    unsigned char *bytes = calloc(1, size);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(claimed >> 8 * i);
    memcpy(bytes + 8, header, length);
    write_bytes(bytes, size);
    free(bytes);
}

static safetensors_status read_back(char *error)
{
    safetensors_file file;
    *error = '\0';
    safetensors_status status = safetensors_read(path, &file, error);
    uint64_t bytes;
    for (size_t i = 0; i < file.tensor_count; i++)
        cr_assert(safetensors_bytes(&file.tensors[i], &bytes) && bytes == file.tensors[i].bytes);
    cr_assert(!status || (!file.tensors && !file.metadata && !file.header && *error));
    safetensors_free(&file);
    return status;
}

/* Writes a small valid file and reads its bytes, which other tests modify. */
static size_t good_file(unsigned char *bytes, size_t size)
{
    float a[6] = {1, 2, 3, 4, 5, 6};
    uint8_t b[3] = {7, 8, 9};
    safetensors_tensor tensors[] = {
        {.name = "b", .type = SAFETENSORS_U8, .rank = 1, .shape = {3}, .data = b},
        {.name = "a", .type = SAFETENSORS_F32, .rank = 2, .shape = {2, 3}, .data = a},
    };
    safetensors_pair pair = {"op", "none"};
    char error[SAFETENSORS_ERROR_SIZE];
    safetensors_file file = {.tensors = tensors, .tensor_count = 2, .metadata = &pair, .metadata_count = 1};
    cr_assert_eq(safetensors_write(path, &file, error), SAFETENSORS_OK);
    return read_bytes(bytes, size);
}

/* ---- round trips --------------------------------------------------------------------------------------------- */

Test(safetensors, round_trip)
{
    unsigned char data[8 * 21];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 37 + 1);
    char names[SAFETENSORS_TYPE_COUNT + 3][32];
    safetensors_tensor tensors[SAFETENSORS_TYPE_COUNT + 3];
    for (int i = 0; i < SAFETENSORS_TYPE_COUNT + 3;
         i++) { /* 21 elements, so that the tensor after a byte type is misaligned */
        snprintf(names[i], sizeof names[i], "t\"\\\n\xc3\xa9%d", i);
        tensors[i] = (safetensors_tensor){.name = names[i], .rank = 3, .shape = {3, 1, 7}, .data = data};
        tensors[i].type = (safetensors_type)((i + SAFETENSORS_BOOL) % SAFETENSORS_TYPE_COUNT);
    }
    tensors[3].rank = 0;                                                                    /* a scalar */
    tensors[4].shape[1] = 0;                                                                /* no elements */
    memcpy(tensors[5].shape, (uint64_t[8]){1, 1, 3, 1, 1, 7, 1, 1}, sizeof tensors->shape); /* the highest rank */
    tensors[5].rank = 8;
    safetensors_pair metadata[] = {{"scale", "0.125"}, {"\xc3\xa9\t\"", ""}};
    safetensors_file want = {tensors, SAFETENSORS_TYPE_COUNT + 3, metadata, 2, NULL}, got;
    char error[SAFETENSORS_ERROR_SIZE] = "";
    cr_assert_eq(safetensors_write(path, &want, error), SAFETENSORS_OK, "%s", error);
    cr_assert_eq(safetensors_read(path, &got, error), SAFETENSORS_OK, "%s", error);

    cr_expect_eq(got.tensor_count, want.tensor_count);
    for (size_t i = 0; i < want.tensor_count; i++) {
        const safetensors_tensor *t = safetensors_find(&got, names[i]);
        uint64_t bytes;
        cr_assert(t && safetensors_bytes(&tensors[i], &bytes), "tensor %zu", i);
        cr_expect(t->type == tensors[i].type && t->rank == tensors[i].rank && t->bytes == bytes, "tensor %zu", i);
        cr_expect(!memcmp(t->shape, tensors[i].shape, t->rank * sizeof *t->shape), "tensor %zu", i);
        cr_expect(!memcmp(t->data, data, t->bytes) && (uintptr_t)t->data % 8 == 0, "tensor %zu", i);
    }
    cr_expect_str_eq(safetensors_metadata(&got, "scale"), "0.125");
    cr_expect_str_eq(safetensors_metadata(&got, "\xc3\xa9\t\""), "");
    cr_expect_null(safetensors_metadata(&got, "Scale"));
    cr_expect_null(safetensors_find(&got, "t"));
    safetensors_free(&got);
    safetensors_free(&got);

    unsigned char prefix[8];
    cr_assert_eq(read_bytes(prefix, 8), 8);
    cr_expect_eq(prefix[0] % 8, 0, "the data begin at a multiple of 8");
    cr_expect_eq(files_in_folder(), 1);
}

Test(safetensors, empty_files)
{
    char error[SAFETENSORS_ERROR_SIZE] = "";
    cr_assert_eq(safetensors_write(path, &(safetensors_file){0}, error), SAFETENSORS_OK, "%s", error);
    cr_expect_eq(read_back(error), SAFETENSORS_OK, "%s", error);
    write_file("{\"__metadata__\":{}} ", 20, 0);
    cr_expect_eq(read_back(error), SAFETENSORS_OK, "%s", error);
}

/* ---- failures to write --------------------------------------------------------------------------------------- */

Test(safetensors, unwritable)
{
    char error[SAFETENSORS_ERROR_SIZE] = "", inside[80];
    const safetensors_file file = {0};
    snprintf(inside, sizeof inside, "%s/none", path);
    cr_expect_eq(safetensors_write(inside, &file, error), SAFETENSORS_FAILED, "in a folder that does not exist");
    cr_expect_eq(safetensors_write(folder, &file, error), SAFETENSORS_FAILED, "onto a folder");
    cr_expect_eq(files_in_folder(), 0);
}

#if !defined(_WIN32) /* Windows has no such limits and devices */
Test(safetensors, a_failed_write_leaves_the_old_file)
{
    static float data[4096];
    safetensors_tensor tensor = {.name = "a", .rank = 1, .shape = {4096}, .type = SAFETENSORS_F32, .data = data};
    safetensors_file file = {.tensors = &tensor, .tensor_count = 1};
    char error[SAFETENSORS_ERROR_SIZE] = "";
    unsigned char bytes[8];
    write_bytes("old", 3);

    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    rlim_t all = limit.rlim_cur;
    for (rlim_t most = 0; most <= 16384; most += 4096) {
        limit.rlim_cur = most;
        setrlimit(RLIMIT_FSIZE, &limit);
        safetensors_status status = safetensors_write(path, &file, error);
        limit.rlim_cur = all;
        setrlimit(RLIMIT_FSIZE, &limit);
        cr_expect_eq(status, SAFETENSORS_FAILED, "after %d bytes", (int)most);
        cr_expect(strstr(error, "cannot be written"), "%s", error);
        cr_expect(read_bytes(bytes, 8) == 3 && !memcmp(bytes, "old", 3));
        cr_expect_eq(files_in_folder(), 1);
    }
}

Test(safetensors, devices_are_not_replaced)
{
    char error[SAFETENSORS_ERROR_SIZE] = "";
    cr_expect_eq(safetensors_write("/dev/null", &(safetensors_file){0}, error), SAFETENSORS_FAILED);
}
#endif

/* ---- malformed files ----------------------------------------------------------------------------------------- */

#define ENTRY(type, shape, offsets) "{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define ONE(type, shape, offsets)   "{\"a\":" ENTRY(type, shape, offsets) "}"
#define TWO(first, second)          "{\"a\":" ENTRY("U8", "[4]", first) ",\"b\":" ENTRY("U8", "[4]", second) "}"

static const struct {
    const char *header;
    size_t data_size;
    const char *message; /* a part of the message; NULL: the file is valid */
} headers[] = {
    {ONE("F32", "[2]", "[0,8]"), 8, NULL},
    {ONE("F32", "[2]", "[0,8]") "    ", 8, NULL},
    {ONE("F32", "[2.0e0]", "[0,8]"), 8, NULL},
    {ONE("U8", "[]", "[0,1]"), 1, NULL},
    {ONE("U8", "[0,9007199254740991]", "[0,0]"), 0, NULL},
    {TWO("[4,8]", "[0,4]"), 8, NULL},
    {"", 8, "does not begin with '{'"},
    {" " ONE("F32", "[2]", "[0,8]"), 8, "does not begin with '{'"},
    {"[]", 0, "does not begin with '{'"},
    {"\xef\xbb\xbf{}", 0, "does not begin with '{'"},
    {"{", 0, "not valid JSON"},
    {"{\"a\":1,", 0, "not valid JSON"},
    {"{\"a", 0, "not valid JSON"},
    {"{\"a\\", 0, "not valid JSON"},
    {"{\"a\\u12", 0, "not valid JSON"},
    {"{\"a\\u0000\":{}}", 0, "NUL"},
    {"{\"__metadata__\":{\"a\":\"\\\\\\u0000\"}}", 0, "NUL"},
    {"{} x", 0, "not valid JSON"},
    {"{}{}", 0, "not valid JSON"},
    {"{}\n", 0, "not valid JSON"},
    {"{\"a\":nul}", 0, "not valid JSON"},
    {"{\"a\":1}", 0, "tensor 'a' is not an object"},
    {"{\"a\":[]}", 0, "tensor 'a' is not an object"},
    {"{\"a\":{}}", 0, "tensor 'a' has no dtype"},
    {"{\"a\":{\"dtype\":1,\"shape\":[],\"data_offsets\":[0,1]}}", 1, "no dtype"},
    {"{\"a\":{\"DTYPE\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "no dtype"},
    {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "no shape"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":{},\"data_offsets\":[0,1]}}", 1, "no shape"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}", 1, "no data_offsets"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"x\":0}}", 1, "members besides"},
    {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, "members besides"},
    {ONE("F33", "[]", "[0,1]"), 1, "unknown dtype 'F33'"},
    {ONE("", "[]", "[0,1]"), 1, "unknown dtype ''"},
    {ONE("f32", "[2]", "[0,8]"), 8, "unknown dtype 'f32'"},
    {ONE("U8", "[1.5]", "[0,1]"), 1, "must consist of integers"},
    {ONE("U8", "[-1]", "[0,1]"), 1, "must consist of integers"},
    {ONE("U8", "[\"1\"]", "[0,1]"), 1, "must consist of integers"},
    {ONE("U8", "[[1]]", "[0,1]"), 1, "must consist of integers"},
    {ONE("U8", "[null]", "[0,1]"), 1, "must consist of integers"},
    {ONE("U8", "[true]", "[0,1]"), 1, "must consist of integers"},
    {ONE("U8", "[0,9007199254740993]", "[0,0]"), 0, "must consist of integers"},
    {ONE("U8", "[0,1e999]", "[0,0]"), 0, "must consist of integers"},
    {ONE("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, "more than 8 dimensions"},
    {ONE("F64", "[4294967296,536870912]", "[0,0]"), 0, "more than 2^64 bytes"},
    {ONE("U8", "[4294967296,4294967296]", "[0,0]"), 0, "more than 2^64 bytes"},
    {ONE("U8", "[1]", "[0]"), 1, "no data_offsets of two numbers"},
    {ONE("U8", "[1]", "[0,1,2]"), 1, "no data_offsets of two numbers"},
    {ONE("U8", "[1]", "[0,0.5]"), 1, "must be integers from 0"},
    {ONE("U8", "[1]", "[-1,0]"), 1, "must be integers from 0"},
    {ONE("U8", "[1]", "[0,9007199254740992]"), 1, "must be integers from 0"},
    {ONE("U8", "[1]", "[1,0]"), 1, "ends before it begins"},
    {ONE("U8", "[2]", "[0,2]"), 1, "beyond the end of the file"},
    {ONE("U8", "[1]", "[5,6]"), 1, "beyond the end of the file"},
    {ONE("U8", "[1]", "[0,2]"), 2, "has 2 bytes, but its dtype and shape require 1"},
    {ONE("F32", "[2]", "[0,4]"), 4, "has 4 bytes, but its dtype and shape require 8"},
    {ONE("U8", "[1]", "[1,2]"), 2, "unused bytes before tensor 'a'"},
    {ONE("U8", "[1]", "[0,1]"), 2, "unused bytes after the last tensor"},
    {"{}", 1, "unused bytes after the last tensor"},
    {TWO("[0,4]", "[2,6]"), 6, "tensor 'b' overlaps another"},
    {TWO("[0,4]", "[0,4]"), 4, "overlaps another"},
    {TWO("[0,4]", "[5,9]"), 9, "unused bytes before tensor 'b'"},
    {"{\"a\":" ENTRY("U8", "[1]", "[0,1]") ",\"a\":" ENTRY("U8", "[1]", "[1,2]") "}", 2, "'a' occurs twice"},
    {"{\"__metadata__\":1}", 0, "__metadata__ is not an object"},
    {"{\"__metadata__\":[\"a\"]}", 0, "__metadata__ is not an object"},
    {"{\"__metadata__\":{\"op\":1}}", 0, "'op' in __metadata__ is not a string"},
    {"{\"__metadata__\":{\"op\":\"\",\"x\":\"\",\"op\":\"\"}}", 0, "'op' occurs twice in __metadata__"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "'__metadata__' occurs twice"},
};

Test(safetensors, malformed_headers)
{
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        char error[SAFETENSORS_ERROR_SIZE];
        write_file(headers[i].header, strlen(headers[i].header), headers[i].data_size);
        safetensors_status status = read_back(error);
        cr_expect_eq(status, headers[i].message ? SAFETENSORS_BAD_FILE : SAFETENSORS_OK, "%s: '%s'", headers[i].header,
                     error);
        cr_expect(!headers[i].message || strstr(error, headers[i].message), "%s: '%s'", headers[i].header, error);
    }
}

Test(safetensors, malformed_lengths)
{
    static const uint64_t lengths[] = {
        0, 1, 3, 100000000, 100000001, UINT64_C(1) << 32, INT64_MAX, UINT64_MAX - 7, UINT64_MAX};
    char error[SAFETENSORS_ERROR_SIZE];
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        write_file("{}", lengths[i], 0);
        cr_expect_eq(read_back(error), SAFETENSORS_BAD_FILE, "a length of %llu", (unsigned long long)lengths[i]);
    }
}

Test(safetensors, long_and_deep_headers)
{
    static char header[200000];
    char error[SAFETENSORS_ERROR_SIZE];
    for (int close = 0; close < 2; close++) { /* 50000 nested arrays */
        size_t at = (size_t)sprintf(header, "{\"a\":");
        memset(header + at, '[', 50000);
        memset(header + at + 50000, close ? ']' : '\0', 50000);
        strcpy(header + at + 100000, "}");
        write_file(header, strlen(header), 0);
        cr_expect_eq(read_back(error), SAFETENSORS_BAD_FILE);
    }
    memset(header, 'x', sizeof header); /* a name longer than the message */
    memcpy(header, "{\"", 2);
    strcpy(header + sizeof header - 5, "\":1}");
    write_file(header, strlen(header), 0);
    cr_expect_eq(read_back(error), SAFETENSORS_BAD_FILE);
    cr_expect(strstr(error, "is not an object"), "%s", error);
}

/* A tree of 40 MB of values would take more than 1 GB. */
Test(safetensors, too_many_values)
{
    const size_t values = 1000001, length = 6 + 2 * values;
    char *header = malloc(length + 1), error[SAFETENSORS_ERROR_SIZE];
    strcpy(header, "{\"a\":[");
    for (size_t i = 6; i < length; i += 2)
        memcpy(header + i, ",0", 2);
    header[6] = ' ';
    strcpy(header + length - 2, "]}");
    write_file(header, length, 0);
    cr_expect_eq(read_back(error), SAFETENSORS_BAD_FILE);
    cr_expect(strstr(error, "more than 1000000 JSON values"), "%s", error);
    free(header);
}

Test(safetensors, unreadable_files)
{
    char error[SAFETENSORS_ERROR_SIZE];
    safetensors_file file;
    cr_expect_eq(read_back(error), SAFETENSORS_BAD_FILE, "no file");
    cr_expect_eq(safetensors_read(folder, &file, error), SAFETENSORS_BAD_FILE, "a folder");
    cr_expect_eq(safetensors_read("/dev/null", &file, error), SAFETENSORS_BAD_FILE, "a device");
}

Test(safetensors, truncated_at_every_length)
{
    unsigned char bytes[1024];
    char error[SAFETENSORS_ERROR_SIZE];
    size_t size = good_file(bytes, sizeof bytes - 1);
    cr_assert_eq(read_back(error), SAFETENSORS_OK, "%s", error);
    for (size_t length = 0; length < size; length++) {
        write_bytes(bytes, length);
        cr_expect_eq(read_back(error), SAFETENSORS_BAD_FILE, "cut at %zu", length);
    }
    bytes[size] = 0;
    write_bytes(bytes, size + 1);
    cr_expect_eq(read_back(error), SAFETENSORS_BAD_FILE, "one byte more");
}

#ifndef CHANGED_HEADERS /* fewer in emulators, where a file takes milliseconds */
#define CHANGED_HEADERS 20000
#endif

/* There is no expected result, but the reader must not crash, and must accept only files that are consistent. */
Test(safetensors, random_changes_of_the_header)
{
    unsigned char good[1024], bytes[1024];
    char error[SAFETENSORS_ERROR_SIZE];
    size_t size = good_file(good, sizeof good), header = size - 27;
    srand(1);
    for (int round = 0; round < CHANGED_HEADERS; round++) {
        memcpy(bytes, good, size);
        for (int change = 0; change <= round % 4; change++) {
            static const char likely[] = "{}[],:\"\\0129eE-.u \0\xff";
            size_t at = (size_t)rand() % header;
            bytes[at] = rand() % 2 ? (unsigned char)likely[(size_t)rand() % (sizeof likely - 1)]
                                   : (unsigned char)(bytes[at] ^ 1u << rand() % 8);
        }
        write_bytes(bytes, size);
        read_back(error);
    }
}

/* ---- case files -------------------------------------------------------------------------------------------------- */

/* A message is one line, also if it repeats text of the file. */
Test(case_file, messages_are_one_line)
{
    safetensors_pair pair = {"op", "a\nb\x7f"};
    const safetensors_file file = {.metadata = &pair, .metadata_count = 1};
    sentences s = {0};
    problem p;
    cr_expect_eq(case_file_read(&file, &(messenger){sentences_keep, &s}, &p), DMATTN_ERROR_INVALID);
    cr_expect_eq(s.count, 1);
    cr_expect_str_eq(s.text, "metadata op is 'a?b?', but must be one of attention, dma");
}
