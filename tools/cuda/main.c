/* SPDX-License-Identifier: MIT
 * dmattn-cuda: attention on data of CUDA, in memory shared by CUDA and Vulkan. CUDA writes q, k and v, dmattn computes,
 * and CUDA reads out. A timeline semaphore orders them on the device; the host waits once, at the end. Then the program
 * measures the cost of a hand-over to dmattn and back. It uses the public headers of dmattn only. */
#define _POSIX_C_SOURCE 200809L
#include "cuda_driver.h"

#include <dmattn/runtime.h>

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DONE = 0, MACHINE_FAILED = 1, BAD_INPUT = 2, NOTHING_TO_RUN_ON = 77 };

enum { N = 300, HEADS = 4, DIM = 64, ELEMENTS = N * HEADS * DIM };
static const dmattn_attention_desc desc = {
    .batch = 1, .queries = N, .keys = N, .heads = HEADS, .head_dim = DIM, .causal = true};

enum { Q, K, V, OUT, TENSORS };

/* Memory shared by CUDA and Vulkan. */
typedef struct shared_tensor {
    dmattn_buffer buffer;
    CUexternalMemory memory;
    CUdeviceptr address;
    float *host;
} shared_tensor;

typedef struct session {
    dmattn_runtime *runtime;
    dmattn_device *device;
    dmattn_plan *plan;
    dmattn_buffer workspace;
    cuda_driver cuda;
    CUdevice cuda_device;
    CUcontext context;
    CUstream stream;
    CUexternalSemaphore timeline;
    uint64_t turn; /* the value of the timeline when all enqueued work is complete */
    shared_tensor tensors[TENSORS];
} session;

/* ---- failures ------------------------------------------------------------------------------------------------ */

static int fail(int status, const char *text)
{
    fprintf(stderr, "dmattn-cuda: %s\n", text);
    return status;
}

static void print_error(void *user, dmattn_severity severity, const char *text)
{
    (void)user;
    if (severity == DMATTN_SEVERITY_ERROR)
        fail(MACHINE_FAILED, text);
}

static int cuda_check(const session *s, const char *call, CUresult result)
{
    if (!result)
        return DONE;
    fprintf(stderr, "dmattn-cuda: %s returned %s\n", call, cuda_error_name(&s->cuda, result));
    return MACHINE_FAILED;
}

/* These return from the calling function if a call fails, whose message has been printed. */
#define DMATTN(call)               \
    do {                           \
        if (call)                  \
            return MACHINE_FAILED; \
    } while (0)
#define CUDA(s, function, ...) TRY(cuda_check(s, #function, (s)->cuda.function(__VA_ARGS__)))
#define TRY(call)             \
    do {                      \
        int status_ = (call); \
        if (status_ != DONE)  \
            return status_;   \
    } while (0)

/* ---- one device, for both interfaces-------------------------------------------------------------------------- */

/* Finds the first CUDA device that is also a usable Vulkan device; *index is its Vulkan index. `selector`: NULL, or
 * which Vulkan device it must be, as for dmattn_runtime_find_device(). */
static int find_device(session *s, const char *selector, uint32_t *index)
{
    int count = 0;
    uint32_t wanted = 0;
    if (!dmattn_runtime_device_count(s->runtime))
        return fail(NOTHING_TO_RUN_ON, "there is no Vulkan device");
    if (selector && dmattn_runtime_find_device(s->runtime, selector, &wanted))
        return BAD_INPUT; /* print_error() has said why */
    CUDA(s, cuDeviceGetCount, &count);
    for (int ordinal = 0; ordinal < count; ordinal++) {
        CUuuid uuid;
        CUDA(s, cuDeviceGet, &s->cuda_device, ordinal);
        CUDA(s, cuDeviceGetUuid_v2, &uuid, s->cuda_device);
        for (*index = 0; *index < dmattn_runtime_device_count(s->runtime); ++*index) {
            dmattn_device_info info;
            DMATTN(dmattn_runtime_device_info(s->runtime, *index, &info));
            if (info.level && (!selector || *index == wanted) && !memcmp(info.uuid, uuid.bytes, sizeof info.uuid)) {
                printf("%s, %s\n", info.name, info.driver);
                return DONE;
            }
        }
    }
    return fail(NOTHING_TO_RUN_ON, selector ? "the device of --device is no CUDA device"
                                            : "no CUDA device is also a Vulkan device that dmattn can use");
}

static int open_devices(session *s, const char *selector)
{
    char why[256];
    if (!cuda_driver_open(&s->cuda, why, sizeof why))
        return fail(NOTHING_TO_RUN_ON, why);
    uint32_t index;
    DMATTN(dmattn_runtime_create(&(dmattn_runtime_desc){.message = print_error}, &s->runtime));
    TRY(find_device(s, selector, &index));
    DMATTN(dmattn_device_create(s->runtime, index, &s->device));
    CUDA(s, cuDevicePrimaryCtxRetain, &s->context, s->cuda_device);
    CUDA(s, cuCtxSetCurrent, s->context);
    CUDA(s, cuStreamCreate, &s->stream, CU_STREAM_NON_BLOCKING);
    return DONE;
}

/* ---- shared objects ------------------------------------------------------------------------------------------ */

static int share_timeline(session *s)
{
    CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC semaphore = {.type = CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_TIMELINE_SEMAPHORE_FD};
    DMATTN(dmattn_timeline_export(s->device, &semaphore.handle.fd));
    CUresult result = s->cuda.cuImportExternalSemaphore(&s->timeline, &semaphore);
    if (result) /* the import did not take over the descriptor */
        close(semaphore.handle.fd);
    return cuda_check(s, "cuImportExternalSemaphore", result);
}

static int share_tensor(session *s, shared_tensor *tensor)
{
    dmattn_shared_memory shared;
    DMATTN(dmattn_buffer_create_shared(s->device, ELEMENTS * sizeof(float), &tensor->buffer, &shared));
    const CUDA_EXTERNAL_MEMORY_HANDLE_DESC memory = {.type = CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD,
                                                     .handle = {.fd = shared.fd},
                                                     .size = shared.size,
                                                     .flags = shared.dedicated ? CUDA_EXTERNAL_MEMORY_DEDICATED : 0};
    CUresult result = s->cuda.cuImportExternalMemory(&tensor->memory, &memory);
    if (result)
        close(shared.fd);
    TRY(cuda_check(s, "cuImportExternalMemory", result));
    const CUDA_EXTERNAL_MEMORY_BUFFER_DESC range = {.size = tensor->buffer.size};
    CUDA(s, cuExternalMemoryGetMappedBuffer, &tensor->address, tensor->memory, &range);
    tensor->host = malloc(ELEMENTS * sizeof(float));
    return tensor->host ? DONE : fail(MACHINE_FAILED, "no host memory for a tensor");
}

/* ---- one run of dmattn --------------------------------------------------------------------------------------- */

/* Enqueues a run of dmattn that begins when all earlier work on the stream is complete; later work on the stream waits
 * for it. If `args` is NULL, the run is empty. */
static int enqueue(session *s, const dmattn_attention_args *args)
{
    const CUDA_EXTERNAL_SEMAPHORE_PARAMS ready = {.value = s->turn + 1}, done = {.value = s->turn + 2};
    VkCommandBuffer commands;
    DMATTN(dmattn_commands_begin(s->device, &commands));
    if (args && dmattn_attention_record(s->plan, commands, args)) {
        dmattn_commands_cancel(s->device);
        return MACHINE_FAILED;
    }
    CUDA(s, cuSignalExternalSemaphoresAsync, &s->timeline, &ready, 1, s->stream);
    DMATTN(dmattn_commands_submit_shared(s->device, ready.value, done.value));
    s->turn = done.value;
    CUDA(s, cuWaitExternalSemaphoresAsync, &s->timeline, &done, 1, s->stream);
    return DONE;
}

/* ---- attention ----------------------------------------------------------------------------------------------- */

/* The largest difference from attention computed in double on the host. */
static double largest_error(const session *s)
{
    const float *q = s->tensors[Q].host, *k = s->tensors[K].host, *v = s->tensors[V].host, *out = s->tensors[OUT].host;
    double worst = 0, p[N];
    for (int head = 0; head < HEADS; head++)
        for (int t = 0; t < N; t++) {
            double most = -INFINITY, sum = 0;
            for (int j = 0; j <= t; j++) {
                p[j] = 0;
                for (int i = 0; i < DIM; i++)
                    p[j] += (double)q[(t * HEADS + head) * DIM + i] * (double)k[(j * HEADS + head) * DIM + i];
                p[j] /= sqrt(DIM);
                most = fmax(most, p[j]);
            }
            for (int j = 0; j <= t; j++)
                sum += p[j] = exp(p[j] - most);
            for (int i = 0; i < DIM; i++) {
                double right = 0;
                for (int j = 0; j <= t; j++)
                    right += p[j] / sum * (double)v[(j * HEADS + head) * DIM + i];
                const double error = fabs((double)out[(t * HEADS + head) * DIM + i] - right);
                worst = error <= worst ? worst : error; /* keeps NaN */
            }
        }
    return worst;
}

static int run_attention(session *s)
{
    dmattn_plan_info info;
    DMATTN(dmattn_attention_plan(dmattn_device_context(s->device), &desc, &s->plan));
    dmattn_plan_get_info(s->plan, &info);
    if (info.workspace_size)
        DMATTN(dmattn_buffer_create(s->device, info.workspace_size, &s->workspace));
    uint32_t random = 1;
    for (int t = 0; t < TENSORS; t++) {
        TRY(share_tensor(s, &s->tensors[t]));
        for (int i = 0; i < ELEMENTS; i++) {
            random = random * 1664525 + 1013904223;
            s->tensors[t].host[i] = t == OUT ? NAN : (float)(random >> 8) / (1 << 23) - 1;
        }
    }
    for (int t = 0; t < TENSORS; t++)
        CUDA(s, cuMemcpyHtoDAsync_v2, s->tensors[t].address, s->tensors[t].host, ELEMENTS * sizeof(float), s->stream);
    const dmattn_attention_args args = {.q = s->tensors[Q].buffer,
                                        .k = s->tensors[K].buffer,
                                        .v = s->tensors[V].buffer,
                                        .out = s->tensors[OUT].buffer,
                                        .workspace = s->workspace};
    TRY(enqueue(s, &args));
    CUDA(s, cuMemcpyDtoHAsync_v2, s->tensors[OUT].host, s->tensors[OUT].address, ELEMENTS * sizeof(float), s->stream);
    CUDA(s, cuStreamSynchronize, s->stream);
    const double error = largest_error(s);
    if (!(error < 1e-5))
        return fail(MACHINE_FAILED, "out differs from attention computed in double on the host");
    printf("out is correct: the largest error is %.1e\n", error);
    return DONE;
}

/* ---- the cost of a hand-over----------------------------------------------------------------------------------- */

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[count / 2];
}

/* Measures single calls: the whole time of each, and the time that the host takes to enqueue it. The host waits for the
 * end of each call. Otherwise the queue would soon be full, and the time to enqueue would include waiting. */
static int time_alone(session *s, int calls, double *host, double *whole)
{
    for (int i = 0; i < calls; i++) {
        const double began = now_us();
        TRY(enqueue(s, NULL));
        host[i] = now_us() - began;
        CUDA(s, cuStreamSynchronize, s->stream);
        whole[i] = now_us() - began;
    }
    return DONE;
}

static int time_together(session *s, int calls, double *each)
{
    const double began = now_us();
    for (int i = 0; i < calls; i++)
        TRY(enqueue(s, NULL));
    CUDA(s, cuStreamSynchronize, s->stream);
    *each = (now_us() - began) / calls;
    return DONE;
}

static int measure(session *s, int calls)
{
    double each = 0, *host = malloc(2 * (size_t)calls * sizeof *host);
    if (!host)
        return fail(MACHINE_FAILED, "no host memory for the times");
    int status = time_alone(s, calls, host, host + calls);
    if (!status)
        status = time_together(s, calls, &each);
    if (!status)
        printf(
            "hand-over to dmattn and back, %d empty calls: %.1f us per call if enqueued without waiting; if the host "
            "waits for each, median %.1f us, %.1f us of it to enqueue\n",
            calls, each, median(host + calls, calls), median(host, calls));
    free(host);
    return status;
}

/* ---- the program --------------------------------------------------------------------------------------------- */

/* Destroys each object before those that it depends on. */
static void close_session(session *s)
{
    if (s->stream)
        s->cuda.cuStreamSynchronize(s->stream);
    for (int t = 0; t < TENSORS; t++) {
        if (s->tensors[t].address)
            s->cuda.cuMemFree_v2(s->tensors[t].address);
        if (s->tensors[t].memory)
            s->cuda.cuDestroyExternalMemory(s->tensors[t].memory);
        free(s->tensors[t].host);
    }
    if (s->timeline)
        s->cuda.cuDestroyExternalSemaphore(s->timeline);
    if (s->stream)
        s->cuda.cuStreamDestroy_v2(s->stream);
    if (s->context)
        s->cuda.cuDevicePrimaryCtxRelease_v2(s->cuda_device);
    dmattn_plan_destroy(s->plan); /* the stream is idle */
    dmattn_device_destroy(s->device);
    dmattn_runtime_destroy(s->runtime);
    cuda_driver_close(&s->cuda);
}

static const char usage[] = "Usage: dmattn-cuda [options] [CALLS]\n"
                            "\n"
                            "Computes attention in memory shared by CUDA and Vulkan. Then measures CALLS\n"
                            "hand-overs to dmattn (default: 1000, at most 1000000). For each the GPU switches\n"
                            "from CUDA to Vulkan and back: 0.33 ms on an H200.\n"
                            "\n"
                            "Options:\n"
                            "  --device D     Vulkan device: best, its index, or part of its name (default:\n"
                            "                 that of the first CUDA device)\n"
                            "  -h, --help     print this text and exit\n"
                            "  -V, --version  print the version and exit\n"
                            "\n"
                            "Exit status:\n"
                            "  0   success\n"
                            "  1   the machine failed\n"
                            "  2   an argument is wrong\n"
                            "  77  there is no CUDA device\n";

typedef struct options {
    const char *device;
    int calls;
} options;

enum { GO_ON = -1 };

/* Returns GO_ON, or an exit status. */
static int parse_options(int argc, char **argv, options *o)
{
    static const struct option long_options[] = {{"device", required_argument, NULL, 'd'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {"version", no_argument, NULL, 'V'},
                                                 {NULL, 0, NULL, 0}};
    const unsigned version = dmattn_version();
    *o = (options){.calls = 1000};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "hV", long_options, NULL)) != -1;)
        switch (c) {
        case 'd': o->device = optarg; break;
        case 'h': fputs(usage, stdout); return DONE;
        case 'V':
            printf("dmattn-cuda %u.%u.%u\n", version / 1000000, version / 1000 % 1000, version % 1000);
            return DONE;
        default: return fail(BAD_INPUT, "an option is unknown or lacks its value; see --help");
        }
    char *end = "";
    const long calls = optind < argc ? strtol(argv[optind], &end, 10) : o->calls;
    if (argc - optind > 1 || *end || calls < 1 || calls > 1000000)
        return fail(BAD_INPUT, "the only argument is a number of calls from 1 to 1000000; see --help");
    o->calls = (int)calls;
    return GO_ON;
}

static int run(session *s, const options *o)
{
    TRY(open_devices(s, o->device));
    TRY(share_timeline(s));
    TRY(run_attention(s));
    return measure(s, o->calls);
}

int main(int argc, char **argv)
{
    options o;
    session s = {0};
    int status = parse_options(argc, argv, &o);
    if (status == GO_ON) {
        status = run(&s, &o);
        close_session(&s);
    }
    return (fflush(stdout) || ferror(stdout)) && !status ? fail(MACHINE_FAILED, "the output cannot be written")
                                                         : status;
}
