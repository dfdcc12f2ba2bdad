/* SPDX-License-Identifier: MIT */
#include "ceiling_measure.h"

#include "ceiling_kernel.h"
#include "reference/element.h"
#include "tensor.h"
#include "timing/sampling.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- timing -------------------------------------------------------------------------------------------------- */

/* Seconds of a run: long enough that launch overhead is negligible, short enough for a driver's watchdog. */
#define LONG_ENOUGH 1e-2

static dmattn_status time_kernel(const ceiling_kernel *k, timing *t)
{
    const recording what = {k->settings->device, ceiling_kernel_record, k};
    *t = (timing){.sorted = malloc(k->settings->max_samples * sizeof *t->sorted),
                  .calibration = k->settings->calibration};
    if (!t->sorted)
        return dmattn_fail(k->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for samples");
    const dmattn_status status =
        take_samples(k->settings, &what, k->settings->info->type == VK_PHYSICAL_DEVICE_TYPE_CPU ? 0.2 : 1, t);
    free(t->sorted);
    return status;
}

/* Updates *p if this variant is faster. `amount`: bytes or operations of one run. */
static void keep_best(ceiling *p, double amount, const timing *t)
{
    if (t->time.median > 0 && amount / t->time.median > p->rate) {
        p->rate = amount / t->time.median;
        p->spread = t->time.spread;
        p->uncertainty = summary_uncertainty(&t->time);
        p->calibrated = timing_calibrated(t);
    }
}

static dmattn_status download(const ceiling_kernel *k)
{
    return dmattn_download(k->settings->device, &k->to, 0, k->host, k->to.size);
}

static dmattn_status check_value(const ceiling_kernel *k, uint64_t index, ceiling_expected want)
{
    const double got = ((const float *)k->host)[index];
    if (fabs(got - want.value) <= want.tolerance) /* false for NaN */
        return DMATTN_SUCCESS;
    return dmattn_fail(k->log, DMATTN_ERROR_VULKAN, "WRONG: result %llu after %u repeats is %g instead of %g +- %g",
                       (unsigned long long)index, k->repeats, got, want.value, want.tolerance);
}

/* ---- copying ------------------------------------------------------------------------------------------------- */

#define CHUNK (UINT64_C(1) << 24)

/* Fills the source in chunks. Each `way` of copying gets different data, so that a result of the previous way cannot
 * pass its check. */
static dmattn_status fill_copy(const ceiling_kernel *k, int way)
{
    for (uint64_t at = 0; at < k->from.size; at += CHUNK) {
        ceiling_copy_fill(k->host, (way * k->from.size + at) / 4, CHUNK / 4);
        TRY(dmattn_upload(k->settings->device, &k->from, at, k->host, CHUNK));
    }
    return DMATTN_SUCCESS;
}

static dmattn_status check_copy(const ceiling_kernel *k, int way)
{
    uint32_t *want = malloc(CHUNK);
    dmattn_status status = want ? download(k) : dmattn_fail(k->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory");
    for (uint64_t at = 0; !status && at < k->to.size; at += CHUNK) {
        ceiling_copy_fill(want, (way * k->from.size + at) / 4, CHUNK / 4);
        if (memcmp((const char *)k->host + at, want, CHUNK))
            status = dmattn_fail(k->log, DMATTN_ERROR_VULKAN, "WRONG: the copy differs from its source near byte %llu",
                                 (unsigned long long)at);
    }
    free(want);
    return status;
}

static dmattn_status time_copy(ceiling_kernel *k, int way, ceiling *p)
{
    double seconds;
    timing time;
    *k->next = 0;
    k->workgroups = (uint32_t)(CHUNK / k->workgroup_bytes);
    TRY(fill_copy(k, way));
    for (uint64_t at = 0; at < k->to.size; at += CHUNK)
        TRY(ceiling_kernel_run(k, &seconds));
    TRY(check_copy(k, way));
    TRY(choose_size(k, &k->workgroups, (uint32_t)(k->to.size / k->workgroup_bytes), LONG_ENOUGH));
    TRY(time_kernel(k, &time));
    TRY(check_copy(k, way));
    keep_best(p, 2.0 * (double)k->workgroup_bytes * k->workgroups, &time);
    return DMATTN_SUCCESS;
}

/* Several times the size of today's caches; source and target together take at most an eighth of the memory. */
static uint64_t copy_bytes(const dmattn_device_info *info)
{
    const uint64_t most = UINT64_C(1) << (info->type == VK_PHYSICAL_DEVICE_TYPE_CPU ? 26 : 29);
    uint64_t bytes = info->device_memory / 16 < info->max_allocation ? info->device_memory / 16 : info->max_allocation;
    bytes = bytes < most ? bytes : most;
    return bytes < CHUNK ? CHUNK : bytes / CHUNK * CHUNK;
}

/* Two ways: a kernel, like attention, and the driver's copy command. The command is faster on a CPU, where each
 * invocation's memory access costs instructions. */
static dmattn_status measure_copy(ceiling_kernel *k, ceiling *p)
{
    enum { PIECES = 8 };
    const uint32_t constants[] = {WORKGROUP, PIECES};
    const kernel_values values = {constants, sizeof constants / sizeof *constants, 0};
    const uint64_t bytes = copy_bytes(k->settings->info);
    TRY(ceiling_kernel_create_pipeline(k, "ceiling_copy", &values));
    TRY(ceiling_kernel_create_buffers(k, bytes, bytes));
    k->workgroup_bytes = WORKGROUP * PIECES * 16;
    TRY(time_copy(k, 0, p));
    k->copy = (PFN_vkCmdCopyBuffer)k->ctx->vk.GetDeviceProcAddr(k->ctx->device, "vkCmdCopyBuffer");
    return time_copy(k, 1, p);
}

/* ---- multiply-adds ------------------------------------------------------------------------------------------- */

static dmattn_status check_fma(const ceiling_kernel *k, const float *input)
{
    ceiling_expected want[CEILING_FMA_WINDOWS];
    TRY(download(k));
    for (uint32_t i = 0; i < CEILING_FMA_WINDOWS; i++)
        want[i] = ceiling_fma_expect(input, i, k->repeats);
    for (uint64_t i = 0; i < (uint64_t)k->workgroups * WORKGROUP; i++)
        TRY(check_value(k, i, want[i % CEILING_FMA_WINDOWS]));
    return DMATTN_SUCCESS;
}

static dmattn_status measure_fma(ceiling_kernel *k, ceiling *p)
{
    float input[CEILING_FMA_INPUTS];
    double seconds;
    timing time;
    k->repeats = 4;
    TRY(ceiling_kernel_create_fma(k, input));
    TRY(ceiling_kernel_run(k, &seconds));
    TRY(check_fma(k, input));
    TRY(choose_size(k, &k->repeats, MOST_REPEATS, LONG_ENOUGH));
    TRY(time_kernel(k, &time));
    TRY(check_fma(k, input));
    keep_best(p, ceiling_kernel_fma_flops(k), &time);
    return DMATTN_SUCCESS;
}

/* ---- matrices ------------------------------------------------------------------------------------------------ */

#define SUBGROUPS 4 /* per workgroup */

static dmattn_status check_matrices(const ceiling_kernel *k, const ceiling_matrices *m, const ceiling_expected *one)
{
    const uint32_t elements = m->shape.m * m->shape.n;
    const double n = k->repeats;
    TRY(download(k));
    for (uint32_t subgroup = 0; subgroup < k->workgroups * SUBGROUPS; subgroup++)
        for (uint32_t i = 0; i < elements; i++) {
            const ceiling_expected *e = &one[subgroup % CEILING_MATRIX_WINDOWS * elements + i];
            const ceiling_expected want = {n * e->value, n * n * e->tolerance};
            TRY(check_value(k, (uint64_t)subgroup * elements + i, want));
        }
    return DMATTN_SUCCESS;
}

static dmattn_status time_matrices(ceiling_kernel *k, const ceiling_matrices *m, const ceiling_expected *one,
                                   ceiling *p)
{
    const matrix_shape *x = &m->shape;
    double seconds;
    timing time;
    TRY(ceiling_kernel_run(k, &seconds));
    TRY(check_matrices(k, m, one));
    TRY(choose_size(k, &k->repeats, MOST_REPEATS, LONG_ENOUGH));
    TRY(time_kernel(k, &time));
    TRY(check_matrices(k, m, one));
    keep_best(p,
              2.0 * x->m * x->n * x->k * m->rows * m->columns * SUBGROUPS * (double)k->workgroups * (double)k->repeats,
              &time);
    return DMATTN_SUCCESS;
}

/* Uploads the operands. `one` receives the expected result of one repeat. */
static dmattn_status fill_matrices(const ceiling_kernel *k, dmattn_type type, const ceiling_matrices *m,
                                   int8_t *eighths, uint16_t *operands, ceiling_expected *one)
{
    const uint32_t count = CEILING_MATRIX_WINDOWS * ceiling_matrix_window(m), elements = m->shape.m * m->shape.n;
    if (!eighths || !operands || !one)
        return dmattn_fail(k->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for operands");
    ceiling_matrix_fill(m, eighths, k->settings->seed);
    for (uint32_t i = 0; i < count; i++)
        element_store(type, operands, i, eighths[i] / 8.0);
    for (uint32_t i = 0; i < CEILING_MATRIX_WINDOWS * elements; i++)
        one[i] = ceiling_matrix_expect(m, eighths, i / elements, i % elements / m->shape.n, i % m->shape.n);
    return dmattn_upload(k->settings->device, &k->from, 0, operands, 2 * (uint64_t)count);
}

static const char *matrix_kernel(dmattn_type type)
{
    return type == DMATTN_TYPE_F16 ? "ceiling_matrix_f16" : "ceiling_matrix_bf16";
}

static dmattn_status measure_matrices(ceiling_kernel *k, dmattn_type type, const ceiling_matrices *m, ceiling *p)
{
    const uint32_t subgroup = dmattn_capabilities_subgroup_size(&k->ctx->caps);
    const uint32_t count = CEILING_MATRIX_WINDOWS * ceiling_matrix_window(m), elements = m->shape.m * m->shape.n;
    const uint32_t constants[] = {SUBGROUPS * subgroup, subgroup, m->shape.m, m->shape.n,
                                  m->shape.k,           m->rows,  m->columns};
    const kernel_values values = {constants, sizeof constants / sizeof *constants, subgroup};
    k->workgroups = enough_workgroups(k->settings);
    k->repeats = 8;
    TRY(ceiling_kernel_create_pipeline(k, matrix_kernel(type), &values));
    TRY(ceiling_kernel_create_buffers(k, UINT64_C(2) * count, UINT64_C(4) * elements * SUBGROUPS * k->workgroups));
    int8_t *eighths = malloc(count);
    uint16_t *operands = malloc(count * sizeof *operands);
    ceiling_expected *one = malloc(CEILING_MATRIX_WINDOWS * elements * sizeof *one);
    dmattn_status status = fill_matrices(k, type, m, eighths, operands, one);
    if (!status)
        status = time_matrices(k, m, one, p);
    free(one);
    free(operands);
    free(eighths);
    return status;
}

/* The shape stays 0 if this build lacks the kernel; it then lacks the attention kernels of this type, too. */
static dmattn_status find_shape(const ceiling_kernel *k, dmattn_type type, matrix_shape *shape)
{
    const capabilities *caps = &k->ctx->caps;
    char why[128];
    if (!find_bench_kernel(matrix_kernel(type)))
        return DMATTN_SUCCESS;
    if (!dmattn_capabilities_can(caps, DMATTN_LEVEL_MATRIX, why, sizeof why))
        return dmattn_fail(k->log, DMATTN_ERROR_UNSUPPORTED, "%s", why);
    *shape = caps->matrix[type];
    if (!shape->m)
        return dmattn_fail(k->log, DMATTN_ERROR_UNSUPPORTED, "the device has no %s matrices that accumulate in f32",
                           dmattn_type_string(type));
    return DMATTN_SUCCESS;
}

/* More accumulators hide more latency but take more registers, which leaves fewer subgroups: devices differ in the
 * best form. */
static dmattn_status measure_matrix_forms(const ceiling_kernel *empty, dmattn_type type, ceiling *p)
{
    static const uint32_t forms[][2] = {{1, 2}, {2, 4}, {4, 4}};
    TRY(find_shape(empty, type, &p->shape));
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        ceiling_kernel k = *empty;
        const ceiling_matrices m = {p->shape, forms[i][0], forms[i][1]};
        const dmattn_status status = measure_matrices(&k, type, &m, p);
        ceiling_kernel_destroy(&k);
        TRY(status);
    }
    return DMATTN_SUCCESS;
}

/* ---- one ceiling --------------------------------------------------------------------------------------------- */

static dmattn_status measure_one(ceiling_kernel *k, ceiling_id id, ceiling *p)
{
    switch (id) {
    case CEILING_COPY: return measure_copy(k, p);
    case CEILING_FMA: return measure_fma(k, p);
    case CEILING_F16_MATRIX: return measure_matrix_forms(k, DMATTN_TYPE_F16, p);
    default: return measure_matrix_forms(k, DMATTN_TYPE_BF16, p);
    }
}

bool ceiling_measure(const measure_settings *s, ceiling_id id, ceiling *p)
{
    const messenger log = {error_log_keep, s->log};
    uint64_t next = 0;
    ceiling_kernel k = {.settings = s, .next = &next, .ctx = dmattn_device_context(s->device), .log = &log};
    *p = (ceiling){0};
    *s->log->text = 0;
    const dmattn_status status = measure_one(&k, id, p);
    if (status) {
        p->rate = 0;
        snprintf(p->why, sizeof p->why, "%.*s", (int)sizeof p->why - 1, error_log_sentence(s->log, status));
    }
    ceiling_kernel_destroy(&k);
    return !status || status == DMATTN_ERROR_UNSUPPORTED;
}
